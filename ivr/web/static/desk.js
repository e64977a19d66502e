// The open page follows the own calls. It is told what to show, in words; it counts the seconds, and decides nothing.

import { follow } from "./live.js";

const desk = document.getElementById("desk");
const list = document.getElementById("calls");
const blank = document.getElementById("call");
const said = document.getElementById("said");
// this browser's clock may be wrong: all times are the server's
const ahead = Date.now() / 1000 - Number(desk.dataset.now);
const now = () => Date.now() / 1000 - ahead;

let calls = [];

function part(card, name, text) {
  const place = card.querySelector(`[data-part="${name}"]`);
  if (place.textContent !== text) place.textContent = text;
}

function show(id, shown) {
  document.getElementById(id).hidden = !shown;
}

function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function left(until) {
  if (until === null) return "";
  const minutes = Math.floor((until - now()) / 60);
  return minutes < 1 ? desk.dataset.leftOne : desk.dataset.left.replace("{minutes}", String(minutes));
}

// A mark that has ended has ended here too, whether or not anybody can tell of it.
function over(call) {
  return call.until !== null && call.until <= now();
}

function asOfNow(call) {
  if (!over(call)) return call;
  const { over: title, overHelp: help } = desk.dataset;
  return { ...call, sign: "not_verified", title, help, name: "", ref: "", until: null, droppable: false };
}

function tick() {
  if (calls.some(over)) draw({ known: true, calls });
  for (const call of calls) {
    const card = cardOf(call.id);
    part(card, "since", lasted(now() - call.since));
    part(card, "left", left(call.until));
  }
}

function dots(card, [filled, all]) {
  part(card, "dots", "\u25cf".repeat(filled) + "\u25cb".repeat(Math.max(0, all - filled)));
}

// Whoever works by keyboard stays where they were: what goes away under the focus hands it to the call's title.
function keepFocus(card, element) {
  if (element === null || element.offsetParent !== null) return;
  card.querySelector('[data-part="title"]').focus();
}

function focusIn(place) {
  return place.contains(document.activeElement) ? document.activeElement : null;
}

function fault(card, text) {
  part(card, "fault", text);
  card.querySelector('[data-part="fault"]').hidden = text === "";
}

// What comes of it, the page is told like all else; here is said only why nothing does.
async function act(card, method, path, given) {
  const buttons = [...card.querySelectorAll("button")];
  // a button that is disabled has no focus
  const pressed = focusIn(card);
  fault(card, "");
  for (const button of buttons) button.disabled = true;
  try {
    const headers = { "CSRF-Token": desk.dataset.csrf };
    if (given !== null) headers["Content-Type"] = "application/json";
    const answer = await fetch(`/api/v1/calls/${card.dataset.id}/${path}`, {
      method,
      headers,
      body: given === null ? undefined : JSON.stringify(given),
    });
    if (!answer.ok) fault(card, (await answer.json()).detail ?? desk.dataset.failed);
  } catch {
    fault(card, desk.dataset.failed);
  } finally {
    for (const button of buttons) button.disabled = false;
    if (card.isConnected && pressed !== null) {
      pressed.focus();
      keepFocus(card, pressed);
    }
  }
}

let asking = new AbortController();

function sure() {
  const dialog = document.getElementById("sure");
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  dialog.showModal();
  return new Promise((resolve) => {
    // not by its closing: that is told late, and may be told when it is open again
    dialog.addEventListener("submit", (event) => resolve(event.submitter?.value === "yes"), { once: true, signal });
    dialog.addEventListener("cancel", () => resolve(false), { once: true, signal });
  });
}

list.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!event.target.matches(".prove, .verify")) return;
  const card = event.target.closest(".call");
  const given = Object.fromEntries(new FormData(event.target));
  if (event.target.matches(".prove")) {
    if (given.customer === "") delete given.customer;
    act(card, "POST", "proof", given);
  } else {
    act(card, "POST", "verification", given);
  }
});
list.addEventListener("change", (event) => {
  const form = event.target.closest(".prove");
  if (form !== null) asked(form);
});
const proofs = { again: ["POST", "proof/speech"], back: ["DELETE", "proof"] };
list.addEventListener("click", (event) => {
  const what = event.target.dataset.proof;
  if (what !== undefined) act(event.target.closest(".call"), ...proofs[what], null);
});
list.addEventListener("click", async (event) => {
  const why = event.target.dataset.drop;
  if (why === undefined) return;
  const card = event.target.closest(".call");
  if (why === "over" || (await sure())) act(card, "DELETE", "mark", { why });
});

// Who it is that speaks, as far as the person on the line knows.
function proved(card, call) {
  const { proof } = call;
  const place = card.querySelector('[data-row="proof"]');
  place.hidden = proof.stage === "";
  place.dataset.stage = proof.stage;
  part(card, "proof-title", proof.title);
  part(card, "proof-help", proof.help);
  for (const name of ["phrase", "speech"]) part(card, name, proof[name]);
  part(card, "digits", proof.digits.replace(/...(?=.)/g, "$& "));
  for (const name of ["phrase", "digits"]) card.querySelector(`[data-row="${name}"]`).hidden = proof[name] === "";
  card.querySelector('[data-part="speech"]').hidden = proof.speech === "";
  card.querySelector('[data-row="waits"]').hidden = !proof.again && !proof.back;
  card.querySelector('[data-proof="again"]').hidden = !proof.again;
  card.querySelector('[data-proof="back"]').hidden = !proof.back;
  const form = card.querySelector('[data-row="provable"]');
  if (form === null) return;
  form.hidden = !call.provable;
  // of whoever is verified, or was called from here, it is known
  form.dataset.known = call.ref !== "" || call.dialled !== "";
  closes(form, call.closed);
  asked(form);
}

// Where no digits are right at the published number, the way is not chosen; its name says until when.
function closes(form, until) {
  const option = form.querySelector('option[value="spoken"]');
  if (option === null) return;
  option.dataset.name ??= option.textContent;
  const time = until === null ? "" : new Date(until * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  option.textContent = until === null ? option.dataset.name : desk.dataset.closed.replace("{way}", option.dataset.name).replace("{time}", time);
  option.disabled = until !== null;
  if (!option.disabled || !option.selected) return;
  const other = [...form.elements.way.options].find((one) => !one.disabled);
  if (other !== undefined) other.selected = true;
}

// What is said needs neither a page nor a customer.
function asked(form) {
  const spoken = form.elements.way.value === "spoken";
  form.querySelector('[data-row="keyed-where"]').hidden = spoken;
  form.querySelector('[data-row="unknown"]').hidden = spoken || form.dataset.known === "true";
}

function heard(proof) {
  return [proof.title, proof.help, proof.speech, proof.phrase && `${desk.dataset.say}: ${proof.phrase}`, proof.digits && `${desk.dataset.sayDigits}: ${[...proof.digits].join(" ")}`].filter(Boolean).join(". ");
}

function cardOf(id) {
  return [...list.children].find((card) => card.dataset.id === id);
}

function draw(view) {
  const before = calls;
  calls = view.calls.map(asOfNow);
  show("none", view.known && calls.length === 0);
  show("unknown", !view.known);
  for (const card of [...list.children]) {
    if (calls.some((call) => call.id === card.dataset.id)) continue;
    if (focusIn(card) !== null) document.getElementById("content").focus();
    card.remove();
  }
  for (const call of calls) {
    let card = cardOf(call.id);
    if (card === undefined) {
      card = blank.content.firstElementChild.cloneNode(true);
      card.dataset.id = call.id;
      list.append(card);
    }
    const focused = focusIn(card);
    card.dataset.sign = call.sign;
    card.dataset.peerable = call.peerable ? "yes" : "no";
    for (const name of ["title", "help", "number", "direction", "name", "ref", "dialled", "keyed"]) part(card, name, call[name]);
    dots(card, call.dots);
    for (const name of ["name", "ref", "dialled", "held", "keyed", "verifiable", "droppable"]) {
      card.querySelector(`[data-row="${name}"]`).hidden = !call[name];
    }
    card.querySelector('[data-row="acts"]').hidden = !call.verifiable && !call.droppable;
    proved(card, call);
    keepFocus(card, focused);
    const old = before.find((one) => one.id === call.id);
    if (old === undefined || old.title !== call.title || old.help !== call.help) {
      fault(card, "");
      said.textContent = `${call.title}. ${call.help}`;
    } else if (old.proof.title !== call.proof.title || old.proof.speech !== call.proof.speech) {
      fault(card, "");
      said.textContent = heard(call.proof);
    }
  }
  tick();
  document.dispatchEvent(new CustomEvent("drawn", { detail: view }));
}

// those that the page was sent with: each is drawn anew
list.replaceChildren();
follow("/live", Number(desk.dataset.silent), "", draw, () => {
  // who is on the line now is not known: nobody's name stands there
  draw({ known: false, calls: [] });
  show("unknown", false);
});
setInterval(tick, 1000);
