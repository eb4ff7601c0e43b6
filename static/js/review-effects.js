/* What the decision does to the next export: asked for when it is opened, or once one is chosen. */

const byId = (id) => document.getElementById(id);

export function makeEffects(store, more) {
  let timer = 0, asked = 0;
  const button = byId("effects-open"), body = byId("effects-body");
  const say = (words) => { button.textContent = words; };

  async function ask() {
    const mine = ++asked;
    const answer = await store.post("consequences/", { ...store.get(), ...more() });
    if (!answer.ok) throw new Error((await answer.json()).detail || String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return null;
    const line = page.querySelector("[data-line]")?.dataset.line || "what it does";
    say(line);
    button.title = line;
    return page.body.childNodes;
  }
  async function open() {
    clearTimeout(timer);  // else the question after a choice would take the answer of this one away
    body.textContent = "…";
    byId("effects").showModal();
    try {
      const found = await ask();
      if (found) body.replaceChildren(...found);
    } catch (error) { body.textContent = `It cannot be told now: ${error.message}.`; }
  }
  /* A moment after a choice, so that a change of mind asks once. */
  function soon() {
    clearTimeout(timer);
    asked += 1;
    say("what it does");
    if (store.get().decision) timer = setTimeout(() => ask().catch(() => say("cannot be told now")), 700);
  }
  return { open, soon };
}
