// <caller-auth>: an agent's own calls on a page of another origin. It is told what to show, in words, and decides nothing.
//
//   <script type="module" src="https://desk.example.com/element/caller-auth.js"></script>
//   <caller-auth token-from="/caller-auth-token"></caller-auth>
//
// `token-from`: an address of the page's own server, which answers {"token": "..."}. Or set `element.token` to a function
// that gives the token. `desk`: where the desk is, if that is not where this file came from.
// Its event `caller-auth` says what is shown: {known, calls: [{id, sign, ref}]}.

const SIGNS = { not_verified: "?", verifying: "…", verified: "✔", refused: "✖", shut: "✖", gone: "–" };
const LEAST = 500;
const MOST = 15000;
// seconds, where the desk does not say otherwise
const SILENT = 25;

const STYLE = `
:host { display: block; font: 1rem/1.45 system-ui, sans-serif; color: #1a1f24; color-scheme: light dark; }
:host([hidden]), [hidden] { display: none !important; }
section { border: 1px solid #6b7580; border-radius: .5rem; padding: .75rem 1rem; background: #fff; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem; }
.state { display: flex; gap: .75rem; align-items: flex-start; }
.sign { flex: none; width: 2rem; height: 2rem; display: grid; place-items: center; font-weight: 700; border: 2px solid currentColor; border-radius: 50%; }
li[data-sign="verified"] .sign { color: #0b6b34; border-radius: .25rem; }
li[data-sign="refused"] .sign, li[data-sign="shut"] .sign { color: #a01220; border-radius: 0; }
li[data-sign="verifying"] .sign { color: #1f4fa3; border-style: dashed; }
h2 { font-size: 1.1rem; margin: 0; }
p { margin: .15rem 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: .5rem 0; }
dt { color: #4a545e; } dd { margin: 0; overflow-wrap: anywhere; } dl > div { display: contents; }
.acts { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin-top: .5rem; }
button, select { font: inherit; min-height: 2.75rem; padding: .25rem .9rem; border-radius: .4rem; border: 1px solid #4a545e; background: #fff; color: inherit; }
button.main { background: #1f4fa3; border-color: #1f4fa3; color: #fff; }
button.grave { border-color: #a01220; color: #a01220; }
button:focus-visible, select:focus-visible { outline: 3px solid #1f4fa3; outline-offset: 2px; }
button:disabled { opacity: .6; }
.bad { color: #a01220; font-weight: 600; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
dialog { border: 1px solid #6b7580; border-radius: .5rem; max-width: 28rem; }
@media (prefers-color-scheme: dark) {
  :host { color: #eceff2; } section, button, select, dialog { background: #171c21; color: #eceff2; } dt { color: #b4bec8; }
  li[data-sign="verified"] .sign { color: #5fd08d; }
  li[data-sign="verifying"] .sign { color: #9dbcf5; }
  li[data-sign="refused"] .sign, li[data-sign="shut"] .sign, button.grave, .bad { color: #ff9aa2; }
  button:focus-visible, select:focus-visible { outline-color: #9dbcf5; }
}`;

function made(name, options = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

class CallerAuth extends HTMLElement {
  #root;
  #place;
  #said;
  #lost;
  #none;
  #list;
  #sure;
  #words = {};
  #may = [];
  #policies = [];
  #calls = [];
  #ahead = 0;
  #silent = SILENT;
  #token = "";
  #stop = null;
  #tick = 0;

  /** A function that gives a token, asked again when one has ended. */
  token = null;

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: "closed" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
    this.#said = made("div", { className: "unseen", role: "status", "aria-live": "assertive" });
    this.#lost = made("p", { className: "bad", hidden: true });
    this.#none = made("div", { hidden: true }, made("h2"), made("p"));
    this.#list = made("ul");
    this.#sure = made("dialog");
    this.#place = made("section", {}, this.#said, this.#lost, this.#none, this.#list, this.#sure);
    this.#root.append(this.#place);
  }

  connectedCallback() {
    this.#stop = new AbortController();
    this.#tick = setInterval(() => this.#count(), 1000);
    this.#run(this.#stop.signal);
  }

  disconnectedCallback() {
    this.#stop?.abort();
    clearInterval(this.#tick);
    this.#token = "";
    this.#draw({ known: false, calls: [] });
  }

  get #desk() {
    return new URL(this.getAttribute("desk") || import.meta.url).origin;
  }

  async #run(signal) {
    let wait = LEAST;
    while (!signal.aborted) {
      try {
        if (!this.#token) this.#token = await this.#fresh(signal);
        await this.#listen(signal, () => (wait = LEAST));
      } catch {
        // whatever it was: it is tried again
      }
      if (signal.aborted) return;
      // who is on the line now is not known: nobody's name stands there
      this.#draw({ known: false, calls: [] });
      this.#none.hidden = true;
      this.#lost.hidden = !this.#words.lost;
      await new Promise((go) => setTimeout(go, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, MOST);
    }
  }

  async #fresh(signal) {
    if (typeof this.token === "function") return String(await this.token());
    const from = new URL(this.getAttribute("token-from") ?? "", location.href);
    if (!this.hasAttribute("token-from") || from.origin !== location.origin) throw new Error("no token");
    const answer = await fetch(from, { credentials: "same-origin", cache: "no-store", signal });
    if (!answer.ok) throw new Error("no token");
    return String((await answer.json()).token);
  }

  #ask(path, options = {}) {
    return fetch(this.#desk + path, {
      mode: "cors", credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer", redirect: "error", ...options,
      headers: { Authorization: `Bearer ${this.#token}`, ...options.headers },
    });
  }

  async #listen(signal, well) {
    const quiet = new AbortController();
    const end = () => quiet.abort();
    signal.addEventListener("abort", end);
    let heard = Date.now();
    // by the clock and not by one long timer, which stands still while the machine sleeps
    const late = () => Math.abs(Date.now() - heard) > this.#silent * 1000;
    const watch = setInterval(() => late() && end(), 1000);
    try {
      const answer = await this.#ask("/element/live", { signal: quiet.signal });
      if (answer.status === 401 || answer.status === 403) this.#token = "";
      if (!answer.ok) return;
      well();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        // what lay on this side while the machine slept is not so now
        if (done || late()) return;
        heard = Date.now();
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) this.#take(JSON.parse(line));
      }
    } finally {
      clearInterval(watch);
      signal.removeEventListener("abort", end);
      end();
    }
  }

  #take(told) {
    if (told.words) {
      this.#words = told.words;
      this.#may = told.may;
      this.#silent = told.silent;
      this.#policies = told.policies;
      this.#place.lang = told.language;
      this.#place.setAttribute("aria-label", told.words.title);
      this.#lost.textContent = told.words.lost;
    }
    if (told.over) this.#token = "";
    if (told.view) {
      this.#ahead = Date.now() / 1000 - told.now;
      this.#lost.hidden = true;
      this.#draw(told.view);
    }
  }

  #draw(view) {
    const before = this.#calls;
    this.#calls = view.calls.map((call) => this.#asOfNow(call));
    const [title, help] = view.known ? [this.#words.none, this.#words.none_help] : [this.#words.unknown, this.#words.unknown_help];
    this.#none.hidden = view.calls.length > 0 || !title;
    this.#none.firstChild.textContent = title ?? "";
    this.#none.lastChild.textContent = help ?? "";
    for (const card of [...this.#list.children]) {
      if (!view.calls.some((call) => call.id === card.dataset.id)) card.remove();
    }
    for (const call of this.#calls) {
      const card = this.#card(call.id) ?? this.#list.appendChild(this.#blank(call.id));
      const part = (name, text) => {
        const place = card.querySelector(`[data-part="${name}"]`);
        if (place.textContent !== text) place.textContent = text;
        const row = card.querySelector(`[data-row="${name}"]`);
        if (row) row.hidden = !text;
      };
      card.dataset.sign = call.sign;
      part("sign", SIGNS[call.sign] ?? "?");
      for (const name of ["title", "help", "number", "name", "ref", "keyed"]) part(name, call[name] ?? "");
      card.querySelector('[data-row="held"]').hidden = !call.held;
      card.querySelector('[data-row="verify"]').hidden = !(call.verifiable && this.#may.includes("verify"));
      card.querySelector('[data-row="drop"]').hidden = !(call.droppable && this.#may.includes("drop"));
      const old = before.find((one) => one.id === call.id);
      if (old === undefined || old.title !== call.title || old.help !== call.help) this.#said.textContent = `${call.title}. ${call.help}`;
    }
    this.#count();
    const calls = this.#calls.map(({ id, sign, ref }) => ({ id, sign, ref }));
    this.dispatchEvent(new CustomEvent("caller-auth", { bubbles: true, composed: true, detail: { known: view.known, calls } }));
  }

  #card(id) {
    return [...this.#list.children].find((card) => card.dataset.id === id);
  }

  #blank(id) {
    const words = this.#words;
    const field = (name, label) => made("div", { "data-row": name }, made("dt", { textContent: label }), made("dd", { "data-part": name }));
    const policy = made("select", { name: "policy", "aria-label": words.by }, ...this.#policies.map(([name, told]) => made("option", { value: name, textContent: told })));
    const verify = made("button", { type: "button", className: "main", textContent: words.verify });
    const over = made("button", { type: "button", textContent: words.drop });
    const wrong = made("button", { type: "button", className: "grave", textContent: words.wrong_person });
    const fault = made("p", { className: "bad", role: "alert", hidden: true });
    const press = (method, what, given) => this.#press(id, method, what, given, fault, [verify, over, wrong]);
    verify.addEventListener("click", () => press("POST", "verification", { policy: policy.value }));
    over.addEventListener("click", () => press("DELETE", "mark", { why: "over" }));
    wrong.addEventListener("click", async () => {
      if (await this.#confirmed()) press("DELETE", "mark", { why: "wrong_person" });
    });
    return made(
      "li", { "data-id": id },
      made(
        "div", { className: "state" },
        made("span", { className: "sign", "aria-hidden": "true", "data-part": "sign" }),
        made(
          "div", {},
          made("h2", { "data-part": "title" }), made("p", { "data-part": "help" }), made("p", { "data-part": "left" }),
          made("p", { "data-row": "keyed", "data-part": "keyed" }),
        ),
      ),
      made("dl", {}, field("name", words.customer), field("number", words.caller), field("ref", words.reference), field("since", words.lasts)),
      made("p", { "data-row": "held", textContent: words.held }),
      made("div", { className: "acts", "data-row": "verify" }, policy, verify),
      made("div", { className: "acts", "data-row": "drop" }, over, wrong),
      fault,
    );
  }

  #confirmed() {
    const words = this.#words;
    const title = made("h2", { id: "sure", textContent: words.wrong_person });
    const yes = made("button", { value: "yes", className: "grave", textContent: words.wrong_person });
    const no = made("button", { value: "", autofocus: true, textContent: words.cancel });
    const form = made("form", { method: "dialog" }, title, made("p", { textContent: words.wrong_person_help }), made("p", { className: "acts" }, yes, no));
    this.#sure.setAttribute("aria-labelledby", "sure");
    this.#sure.replaceChildren(form);
    this.#sure.showModal();
    return new Promise((tell) => {
      // not by its closing: that is told late, and may be told when it is open again; the form is another one each time
      form.addEventListener("submit", (event) => tell(event.submitter?.value === "yes"), { once: true });
      this.#sure.addEventListener("cancel", () => tell(false), { once: true });
    });
  }

  async #press(id, method, what, given, fault, buttons) {
    fault.hidden = true;
    const pressed = this.#root.activeElement;
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await this.#ask(`/api/v1/calls/${encodeURIComponent(id)}/${what}`, {
        method, body: JSON.stringify(given), headers: { "Content-Type": "application/json" },
      });
      if (!answer.ok) throw new Error((await answer.json()).detail);
    } catch (error) {
      fault.textContent = error instanceof TypeError || error instanceof SyntaxError ? this.#words.failed : error.message;
      fault.hidden = false;
    } finally {
      for (const button of buttons) button.disabled = false;
      // a button that was disabled has lost the focus
      pressed?.focus();
    }
  }

  get #now() {
    return Date.now() / 1000 - this.#ahead;
  }

  #over(call) {
    return call.until !== null && call.until <= this.#now;
  }

  // A mark that has ended has ended here too, whether or not anybody can tell of it.
  #asOfNow(call) {
    if (!this.#over(call)) return call;
    const { ended: title, ended_help: help } = this.#words;
    return { ...call, sign: "not_verified", title, help, name: "", ref: "", until: null, droppable: false };
  }

  #count() {
    if (this.#calls.some((call) => this.#over(call))) {
      // it counts, too
      this.#draw({ known: true, calls: this.#calls });
      return;
    }
    const now = this.#now;
    for (const call of this.#calls) {
      const card = this.#card(call.id);
      card.querySelector('[data-part="since"]').textContent = lasted(now - call.since);
      const minutes = call.until === null ? 0 : Math.floor((call.until - now) / 60);
      card.querySelector('[data-part="left"]').textContent =
        call.until === null ? "" : minutes < 1 ? this.#words.left_one : this.#words.left.replace("{minutes}", String(minutes));
    }
  }
}

if (!customElements.get("caller-auth")) customElements.define("caller-auth", CallerAuth);
