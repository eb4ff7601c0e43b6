/* The guideline's editor: how the text will look and how many decisions the rule would mark. */
(function () {
  "use strict";
  const form = document.getElementById("guide-form");
  if (!form) return;
  const said = document.getElementById("guide-said");
  document.getElementById("guide-try").addEventListener("click", async () => {
    let affects;
    try { affects = JSON.parse(form.affects.value || "{}"); } catch { said.textContent = "What it affects is not JSON."; return; }
    const answer = await fetch(form.dataset.preview, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": form.csrfmiddlewaretoken.value },
      body: JSON.stringify({ text: form.text.value, affects }),
    });
    const found = await answer.json();
    if (!answer.ok) { said.textContent = found.detail; return; }
    said.textContent = `This version may affect ${found.affected} decisions; they would be offered to their reviewers again.`;
    const page = new DOMParser().parseFromString(found.html, "text/html");  // cleaned on the server
    document.getElementById("guide-preview").replaceChildren(...page.body.childNodes);
  });
})();
