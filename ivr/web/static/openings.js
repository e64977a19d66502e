// The page follows the own wishes: it shows when a second person has agreed, counts the minutes, and takes a record away whose time is over.

import { follow } from "./live.js";

const openings = document.getElementById("openings");
const own = document.getElementById("own");
const list = own.querySelector("ul");
const said = document.getElementById("said");
// this browser's clock may be wrong: all times are the server's
const ahead = Date.now() / 1000 - Number(openings.dataset.now);
const now = () => Date.now() / 1000 - ahead;

function part(row, name, text) {
  const place = row.querySelector(`[data-part="${name}"]`);
  if (place.textContent !== text) place.textContent = text;
}

function left(until) {
  const minutes = Math.floor((until - now()) / 60);
  return minutes < 1 ? openings.dataset.leftOne : openings.dataset.left.replace("{minutes}", String(minutes));
}

function shut() {
  const record = document.getElementById("record");
  if (record === null) return;
  // before it is taken out, so that nothing of it stays where something else holds on to it
  for (const value of record.querySelectorAll("dd")) value.textContent = "";
  record.remove();
}

function tick() {
  const record = document.getElementById("record");
  if (record !== null && Number(record.dataset.until) <= now()) shut();
  for (const row of openings.querySelectorAll("[data-until]")) part(row, "left", left(Number(row.dataset.until)));
}

function draw({ known, calls: wishes }) {
  if (!known) {
    document.getElementById("lost").hidden = false;
    shut();
    return;
  }
  const kept = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const [id, row] of kept) if (!wishes.some((wish) => wish.id === id)) row.remove();
  wishes.forEach((wish, at) => {
    let row = kept.get(wish.id);
    if (row === undefined) {
      row = document.getElementById("a-wish").content.firstElementChild.cloneNode(true);
      row.dataset.id = wish.id;
      row.querySelector("form").action = `/openings/${wish.id}`;
    }
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    if (row.querySelector('[data-part="title"]').textContent !== wish.title) said.textContent = `${wish.title}: ${wish.reason}`;
    for (const name of ["title", "ref", "fields", "reason"]) part(row, name, wish[name]);
    row.querySelector('[data-row="open"]').hidden = !wish.open;
    row.dataset.until = wish.until;
  });
  own.hidden = wishes.length === 0;
  const record = document.getElementById("record");
  if (record !== null && !wishes.some((wish) => wish.id === record.dataset.of && wish.open)) shut();
  tick();
}

document.getElementById("record")?.focus();
follow("/openings/live", Number(openings.dataset.silent), "openings", draw, shut);
tick();
setInterval(tick, 1000);
