// The supervisor's page follows the team's calls, and says yes or no to what waits. It is told what to show, in words.

import { follow } from "./live.js";

const team = document.getElementById("team");
const said = document.getElementById("said");
const ask = document.getElementById("ask");
// this browser's clock may be wrong: all times are the server's
const ahead = Date.now() / 1000 - Number(team.dataset.now);
const now = () => Date.now() / 1000 - ahead;

let asked = null;

function part(row, name, text) {
  const place = row.querySelector(`[data-part="${name}"]`);
  if (place !== null && place.textContent !== text) place.textContent = text;
}

function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function left(until) {
  const minutes = Math.floor((until - now()) / 60);
  return minutes < 1 ? team.dataset.leftOne : team.dataset.left.replace("{minutes}", String(minutes));
}

// One row for each item, in their order; those that stay keep their place in the document, and with it the keyboard's.
function rows(section, place, template, items, key, fill) {
  const list = section.querySelector(place);
  const kept = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const wanted = new Set(items.map(key));
  for (const [id, row] of kept) {
    if (wanted.has(id)) continue;
    // whoever works by keyboard goes on at the page's beginning, and not at the browser's
    if (row.contains(document.activeElement)) document.getElementById("content").focus();
    row.remove();
  }
  items.forEach((item, at) => {
    let row = kept.get(key(item));
    if (row === undefined) {
      row = document.getElementById(template).content.firstElementChild.cloneNode(true);
      row.dataset.id = key(item);
    }
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    fill(row, item);
  });
  const empty = section.querySelector("[data-empty]");
  if (empty !== null) empty.hidden = items.length > 0;
  const table = section.querySelector(".scroll, table");
  if (table !== null) table.hidden = items.length === 0;
}

function parts(row, item, names) {
  for (const name of names) part(row, name, String(item[name] ?? "–"));
}

function times(row, item) {
  if (item.since !== undefined) row.dataset.since = item.since;
  if (item.until === null || item.until === undefined) delete row.dataset.until;
  else row.dataset.until = item.until;
}

// A mark that has ended has ended here too, whether or not anybody can tell of it.
function end(row) {
  delete row.dataset.until;
  row.dataset.sign = "not_verified";
  part(row, "title", team.dataset.over);
  part(row, "left", "");
}

function tick() {
  for (const row of document.querySelectorAll("#talks [data-until]")) if (Number(row.dataset.until) <= now()) end(row);
  for (const row of document.querySelectorAll("[data-since]")) part(row, "since", lasted(now() - Number(row.dataset.since)));
  for (const row of document.querySelectorAll("[data-until]")) part(row, "left", left(Number(row.dataset.until)));
}

function talk(row, call) {
  row.dataset.sign = call.sign;
  parts(row, call, ["agent", "title", "number", "direction"]);
  row.querySelector('[data-row="held"]').hidden = !call.held;
  if (call.until === null) part(row, "left", "");
  times(row, call);
}

function rate(row, one) {
  parts(row, one, ["policy", "verified", "refused", "abandoned", "failed"]);
  part(row, "share", one.share === null ? "–" : `${one.share} %`);
}

function lock(row, one) {
  parts(row, one, ["kind", "what"]);
  if (one.until === null) part(row, "left", team.dataset.forever);
  times(row, one);
}

function news(section, items, names) {
  const known = new Set([...section.querySelectorAll("li")].map((row) => row.dataset.id));
  const fresh = items.filter((one) => !known.has(one.id));
  const title = section.querySelector("h2").textContent;
  return fresh.map((one) => `${title}: ${names.map((name) => one[name]).join(", ")}`);
}

function draw(view) {
  document.getElementById("unknown").hidden = view.known;
  document.getElementById("count").textContent = view.known ? String(view.calls.length) : "";
  const talks = document.getElementById("talks");
  talks.hidden = false;
  rows(talks, "tbody", "a-talk", view.calls, (one) => one.id, talk);
  if (!view.known) talks.querySelector("[data-empty]").hidden = true;
  for (const name of ["hour", "day"]) {
    const section = document.getElementById(name);
    section.hidden = view[name] === null;
    rows(section, "tbody", "a-rate", view[name] ?? [], (one) => one.policy, rate);
  }
  const locks = document.getElementById("locks");
  locks.hidden = view.locks === null;
  rows(locks, "tbody", "a-lock", view.locks ?? [], (one) => `${one.kind} ${one.what} ${one.until}`, lock);
  // all at once: what is said next takes the place of what was said before
  const told = [];
  for (const [name, template] of [["alarms", "an-alarm"], ["stopped", "a-stop"], ["warned", "a-warning"]]) {
    const section = document.getElementById(name);
    // what was shown before is taken away: nobody knows whether it is all
    const found = view[name] ?? [];
    told.push(...news(section, found, ["name"]));
    section.hidden = view[name] !== null && found.length === 0;
    rows(section, "ul", template, found, (one) => one.id, (row, one) => {
      parts(row, one, ["name", "told"]);
      times(row, one);
    });
  }
  document.getElementById("alarms-unknown").hidden = view.alarms !== null;
  const wishes = document.getElementById("wishes");
  if (wishes !== null) {
    told.push(...news(wishes, view.wishes, ["login", "reason"]));
    wishes.hidden = view.wishes.length === 0;
    rows(wishes, "ul", "a-wish", view.wishes, (one) => one.id, (row, one) => {
      parts(row, one, ["login", "reason", "ref", "fields"]);
      times(row, one);
    });
  }
  if (told.length) said.textContent = told.join(". ");
  tick();
}

// ---------------------------------------------------------------- yes and no

const requests = {
  lift: (id, reason) => [`/api/v1/people/${id}/reads/lift`, "POST", { reason }],
  approve: (id) => [`/api/v1/openings/${id}/approval`, "POST", null],
  decline: (id) => [`/api/v1/openings/${id}`, "DELETE", null],
};

function fault(text) {
  const place = document.getElementById("ask-fault");
  place.textContent = text;
  place.hidden = text === "";
}

function question(what, row) {
  asked = { what, id: row.dataset.id };
  for (const id of ["ask-title", "ask-yes"]) {
    const place = document.getElementById(id);
    place.textContent = place.dataset[what];
  }
  document.getElementById("ask-about").textContent = [...row.querySelectorAll('[data-part="name"], [data-part="login"], [data-part="reason"]')].map((place) => place.textContent).join(": ");
  const why = document.getElementById("why");
  document.getElementById("ask-why").hidden = what !== "lift";
  why.required = what === "lift";
  why.value = "";
  fault("");
  ask.showModal();
}

async function carryOut() {
  const [place, method, given] = requests[asked.what](asked.id, document.getElementById("why").value);
  const headers = { "CSRF-Token": team.dataset.csrf };
  if (given !== null) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(place, { method, headers, body: given === null ? undefined : JSON.stringify(given) });
    if (answer.ok) {
      ask.close();
      return;
    }
    const told = await answer.json();
    fault([told.detail, ...(told.errors ?? []).map((one) => one.fault)].join(" "));
  } catch {
    fault(team.dataset.unreached);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button !== null) question(button.dataset.do, button.closest("li"));
});
ask.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  carryOut();
});
document.getElementById("ask-no").addEventListener("click", () => ask.close());

// ---------------------------------------------------------------- live

follow("/team/live", Number(team.dataset.silent), "team", draw, () => {
  draw({ known: false, calls: [], hour: null, day: null, locks: null, stopped: [], warned: [], alarms: [], wishes: [] });
  document.getElementById("talks").hidden = true;
});
setInterval(tick, 1000);
