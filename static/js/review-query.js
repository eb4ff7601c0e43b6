/* Words and formulas to look for, in a text that writes them in another way.

   A text is written down twice, each time with the code points that every character came from: plainly
   (small letters, every run of blanks one blank) and as mathematics (`\frac{1}{2}` and `½` as `1/2`,
   `x^{2}` and `x²` as `x^2`, and so on). A query is written in the same two ways and looked up with
   indexOf, so the time is in proportion to the text whatever is asked. What the plain text holds is
   always found; the other one adds to it. No part of this module touches a page. */

const SYMBOLS = {  // a command, or a sign -> what is written for it
  cdot: "*", times: "*", ast: "*", "·": "*", "×": "*", "⋅": "*", "∗": "*", "∙": "*",
  le: "≤", leq: "≤", leqslant: "≤", ge: "≥", geq: "≥", geqslant: "≥", ne: "≠", neq: "≠",
  pm: "±", approx: "≈", infty: "∞", pi: "π", theta: "θ", alpha: "α", beta: "β", lambda: "λ",
  "−": "-", "‐": "-", "‑": "-", "⁄": "/", left: "", right: "", quad: " ", qquad: " ",
  "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
};
const HIGH = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", HIGH_AS = "0123456789+-ni", LOW = "₀₁₂₃₄₅₆₇₈₉", LOW_AS = "0123456789";
const PAIRS = { "<=": "≤", ">=": "≥", "!=": "≠" };
const OPERATORS = new Set("*/^_=+-<>≤≥≠≈±");  // blanks around them are not written
const SLICE = 4000;   // UTF-16 units between two places where the work may be interrupted
const MOST_GROWN = 3; // the longest that one unit is written as ("½")

/* Each is tried at one place and takes what it reads once: no repetition inside of a repetition. */
const COMMAND = /\\([a-zA-Z]{1,20})/y;
const FRACTION = /\\[dtc]?frac(?![a-zA-Z])\s{0,9}/y;
const ROOT = /(?:\\sqrt(?![a-zA-Z])|√|sqrt(?=\s{0,9}\())\s{0,9}/iy;
const SINGLE = /[\p{L}\p{N}]/uy;
const BRACKETED = /\(\s{0,9}([-−]?[\p{L}\p{N}.]{1,24})\s{0,9}\)/uy;
const OVER = /\s{0,9}\//y;
const ONE = /^\s{0,9}[-−+]?[\\\p{L}\p{N}.,!^_{}√()²³]{1,40}\s{0,9}$/u;  // a term that needs no brackets
/* Whether nothing is added, taken off or divided in it outside of brackets: `n(n+1)`. */
function isProduct(inner) {
  let depth = 0;
  for (const letter of inner) {
    if ("({[".includes(letter)) depth += 1;
    else if (")}]".includes(letter)) depth -= 1;
    else if (depth === 0 && "+-−/=<>≤≥±\\".includes(letter)) return false;
    if (depth < 0) return false;
  }
  return depth === 0;
}
const at = (pattern, text, i) => { pattern.lastIndex = i; return pattern.exec(text); };
const isBlank = (c) => c === 32 || (c >= 9 && c <= 13) || c === 0xa0 || c === 0x2028 || c === 0x2029 || c === 0x3000 || (c >= 0x2000 && c <= 0x200a) || c === 0x202f;

/* What is written, with the code points (from, to) that each UTF-16 unit of it came from. */
class Written {
  constructor(size) {
    this.units = new Uint16Array(MOST_GROWN * size + 16);
    this.from = new Uint32Array(this.units.length);
    this.to = new Uint32Array(this.units.length);
    this.n = 0;
  }
  put(unit, from, to) {
    this.units[this.n] = unit;
    this.from[this.n] = from;
    this.to[this.n++] = to;
  }
  string() {
    const parts = [];
    for (let i = 0; i < this.n; i += 8192) parts.push(String.fromCharCode.apply(null, this.units.subarray(i, Math.min(this.n, i + 8192))));
    return { text: parts.join(""), from: this.from.slice(0, this.n), to: this.to.slice(0, this.n) };
  }
}

/* The small letter or letters of the character at `i`; a letter of the mathematical alphabets as itself. */
function small(text, i, maths) {
  const code = text.codePointAt(i);
  const letter = maths && code >= 0x1d400 && code <= 0x1d7ff ? String.fromCodePoint(code).normalize("NFKC") : String.fromCodePoint(code);
  return letter.toLowerCase();
}
const unitsAt = (text, i) => (text.codePointAt(i) > 0xffff ? 2 : 1);

function* plainly(text) {
  const out = new Written(text.length);
  for (let i = 0, cp = 0, next = SLICE; i < text.length; cp++) {
    if (i >= next) { next = i + SLICE; yield; }
    const c = text.charCodeAt(i);
    if (isBlank(c)) {
      if (out.n && out.units[out.n - 1] === 32) out.to[out.n - 1] = cp + 1; else out.put(32, cp, cp + 1);
      i += 1;
    } else if (c < 128) {
      out.put(c >= 65 && c <= 90 ? c + 32 : c, cp, cp + 1);
      i += 1;
    } else {
      const s = small(text, i, false);
      for (let k = 0; k < s.length; k++) out.put(s.charCodeAt(k), cp, cp + 1);
      i += unitsAt(text, i);
    }
  }
  return out.string();
}

/* For each opening brace where it closes; found once, so that no formula is searched twice. */
function braces(text) {
  const ends = new Map(), open = [];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 92) i += 1;
    else if (c === 123) open.push(i);
    else if (c === 125 && open.length) ends.set(open.pop(), i);
  }
  return ends;
}

/* Writes a text as mathematics. `i` is a place in UTF-16 units, `cp` the same in code points; what
   is passed over (commands, braces, blanks) has one unit a code point. */
class Maths {
  constructor(text) {
    this.text = text;
    this.out = new Written(text.length);
    this.ends = braces(text);
    this.closes = new Map();  // place of a closing brace or bracket -> what is written there
    this.i = this.cp = 0;
    this.mark = -1;           // code point where the next thing written begins, if not where it stands
    this.script = "";         // "^" or "_" while raised or lowered signs follow each other
  }
  move(units) { this.i += units; this.cp += units; }
  last() { return this.out.n ? this.out.units[this.out.n - 1] : 0; }

  write(what, from, to) {
    const start = this.mark >= 0 ? this.mark : from;
    for (const letter of what) {
      const out = this.out, before = out.n ? String.fromCharCode(this.last()) : " ";
      if (letter === " " && (before === " " || OPERATORS.has(before))) continue;
      if (OPERATORS.has(letter) && before === " " && out.n) out.n -= 1;
      for (let k = 0; k < letter.length; k++) out.put(letter.charCodeAt(k), start, to);
      this.mark = -1;
    }
  }
  /* Passes what is not written; the next thing written begins there. */
  pass(units) {
    if (this.mark < 0) this.mark = this.cp;
    this.move(units);
  }
  blanks() { while (this.i < this.text.length && isBlank(this.text.charCodeAt(this.i))) this.move(1); }

  /* An opening brace or bracket whose content is written without it, in brackets if it is no one term. */
  open(close, then, one) {
    if (!one) this.write("(", this.cp, this.cp + 1);
    this.closes.set(close, (one ? "" : ")") + then);
    this.pass(1);
  }
  /* A group of one argument at this place: true if there is one. */
  group(then = "") {
    const close = this.text[this.i] === "{" ? this.ends.get(this.i) : undefined;
    if (close === undefined) return false;
    const inner = close - this.i < 48 ? this.text.slice(this.i + 1, close) : "";
    this.open(close, then, inner !== "" && !inner.includes("frac") && (ONE.test(inner) || isProduct(inner)));
    return true;
  }
  /* `(2)` as `2`, behind a root, a power or a stroke. */
  unwrap() {
    const found = at(BRACKETED, this.text, this.i);
    if (found) this.open(this.i + found[0].length - 1, "", true);
  }
  argument() { if (!this.group()) this.unwrap(); }

  fraction() {
    const found = at(FRACTION, this.text, this.i);
    if (!found) return false;
    const first = this.i + found[0].length, close = this.ends.get(first);
    const letter = at(SINGLE, this.text, first);
    if (this.text[first] !== "{" ? !letter : close === undefined) return false;
    let second = this.text[first] === "{" ? close + 1 : first + letter[0].length;
    while (second < this.text.length && isBlank(this.text.charCodeAt(second))) second += 1;
    if (this.text[second] === "{" ? !this.ends.has(second) : !at(SINGLE, this.text, second) && this.text[second] !== "\\") return false;
    this.pass(found[0].length);
    if (this.group("/")) return true;  // the stroke is written where the brace closes
    this.letter();
    this.blanks();
    this.write("/", this.cp - 1, this.cp);
    this.group();
    return true;
  }
  root() {
    const found = at(ROOT, this.text, this.i);
    if (!found || (/^s/i.test(found[0]) && /[\p{L}\\]/u.test(this.text[this.i - 1] || ""))) return false;
    this.write("√", this.cp, this.cp + found[0].length);
    this.move(found[0].length);
    this.argument();
    return true;
  }
  closing() {
    const then = this.closes.get(this.i);
    if (this.out.n && this.last() === 32) this.out.n -= 1;
    if (this.out.n) this.out.to[this.out.n - 1] = this.cp + 1;
    this.write(then.replace("/", ""), this.cp, this.cp + 1);
    this.move(1);
    this.mark = -1;
    if (!then.endsWith("/")) return;
    this.blanks();
    this.write("/", this.cp - 1, this.cp);
    this.group();
  }
  /* A backslash: a root, a fraction, a sign that has a name, a blank, or itself. */
  command() {
    if (this.fraction() || this.root()) return;
    const name = at(COMMAND, this.text, this.i), next = this.text[this.i + 1] || "";
    if (name && Object.hasOwn(SYMBOLS, name[1])) {
      const size = name[0].length, what = SYMBOLS[name[1]];
      if (what) { this.write(what, this.cp, this.cp + size); this.move(size); } else this.pass(size);
    } else if (",;:! ".includes(next) && next) {
      this.write(" ", this.cp, this.cp + 2);
      this.move(2);
    } else if ("()[]$".includes(next) && next) this.move(2);
    else this.letter();
  }
  sign(c) {
    const pair = PAIRS[this.text.slice(this.i, this.i + 2)], place = this.cp;
    const what = pair || SYMBOLS[c] || c, size = pair ? 2 : 1;
    this.write(what, place, place + size);
    this.move(size);
    if (what === "^" || what === "_" || what === "/") { this.blanks(); if (what === "/") this.unwrap(); else this.argument(); }
  }
  /* Raised and lowered digits: `²` as `^2`, `₁₀` as `_10`. */
  raised(c) {
    const high = HIGH.indexOf(c), low = high < 0 ? LOW.indexOf(c) : -1;
    if (high < 0 && low < 0) return false;
    const script = high >= 0 ? "^" : "_";
    const what = high >= 0 ? HIGH_AS[high] : LOW_AS[low];
    this.write(this.script === script ? what : script + what, this.cp, this.cp + 1);
    this.move(1);
    this.script = script;
    return true;
  }
  letter() {
    const size = unitsAt(this.text, this.i);
    this.write(small(this.text, this.i, true), this.cp, this.cp + 1);
    this.i += size;
    this.cp += 1;
  }
  bracket() {
    const found = at(BRACKETED, this.text, this.i);
    const behind = /[\p{L}\p{N})\]}]/u.test(this.text[this.i - 1] || "");
    if (found && !behind && at(OVER, this.text, this.i + found[0].length)) this.unwrap(); else this.letter();
  }
  one() {
    const code = this.text.charCodeAt(this.i), c = this.text[this.i], script = this.script;
    if (code > 127 && this.raised(c)) return;
    this.script = "";
    if (this.closes.has(this.i)) this.closing();
    else if (isBlank(code)) { this.write(" ", this.cp, this.cp + 1); this.move(1); }
    else if (c === "$") this.move(1);
    else if (c === "\\") this.command();
    else if (c === "(") this.bracket();
    else if ((c === "s" || c === "S" || c === "√") && this.root()) return;
    else if (OPERATORS.has(c) || c === "!" || (code > 127 && SYMBOLS[c])) this.sign(c);
    else if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) {
      this.out.put(code, this.mark >= 0 ? this.mark : this.cp, this.cp + 1);
      this.mark = -1;
      this.move(1);
    } else this.letter();
  }
}
function* asMaths(text) {
  const maths = new Maths(text);
  yield;
  for (let next = SLICE; maths.i < text.length;) {
    if (maths.i >= next) { next = maths.i + SLICE; yield; }
    maths.one();
  }
  yield;
  return maths.out.string();
}

/* Does the work of a text bit by bit: a generator whose last value is what `search` takes. */
export function* indexing(text) {
  return { plain: yield* plainly(text), maths: yield* asMaths(text) };
}
const whole = (steps) => { for (;;) { const step = steps.next(); if (step.done) return step.value; } };
export const indexOf = (text) => whole(indexing(text));

function places(written, wanted) {
  const found = [];
  if (!wanted) return found;
  for (let n = written.text.indexOf(wanted); n >= 0; n = written.text.indexOf(wanted, n + wanted.length)) {
    found.push({ start: written.from[n], end: written.to[n + wanted.length - 1] });
  }
  return found;
}

/* Two lists in order as one; of the second only what touches nothing of the first or of itself. */
function merged(first, second) {
  const all = [];
  let n = 0, end = 0;
  for (const hit of second) {
    while (n < first.length && first[n].start < hit.end) { all.push(first[n]); end = first[n++].end; }
    if (hit.start >= end) { all.push(hit); end = hit.end; }
  }
  return all.concat(first.slice(n));
}

/* Where `query` stands: [{start, end}] in code points of the text, in order, none over another. */
export function search(index, query) {
  const asked = query.trim();
  if (!asked) return [];
  const plain = places(index.plain, whole(plainly(asked)).text);
  const dollars = asked.split("$").length - 1;  // one of them is money, or a formula half typed
  const maths = dollars % 2 ? [] : places(index.maths, whole(asMaths(asked)).text.trim());
  return merged(plain, maths);
}
