// A call that the agent begins: whom to call, and how far it is. The page is told in words; the number it never has.

const desk = document.getElementById("desk");
const form = document.getElementById("dial");
const place = document.getElementById("dialling");
const back = document.getElementById("dial-back");
const said = document.getElementById("said");

let going = "";

function fault(text) {
  const told = document.getElementById("dial-fault");
  told.textContent = text;
  told.hidden = text === "";
}

async function ask(method, path, given) {
  fault("");
  const headers = { "CSRF-Token": desk.dataset.csrf };
  if (given !== null) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(path, { method, headers, body: given === null ? undefined : JSON.stringify(given) });
    if (!answer.ok) fault((await answer.json()).detail ?? desk.dataset.failed);
    return answer.ok;
  } catch {
    fault(desk.dataset.failed);
    return false;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { whom, phone } = Object.fromEntries(new FormData(form));
  const [button] = form.getElementsByTagName("button");
  button.disabled = true;
  if (await ask("POST", "/api/v1/dials", { customer: whom.trim(), phone: Number(phone) })) form.reset();
  button.disabled = false;
});
back.addEventListener("click", () => ask("DELETE", `/api/v1/dials/${going}`, null));

document.addEventListener("drawn", ({ detail: view }) => {
  const dial = view.dial ?? { id: "", sign: "", title: "", help: "", ref: "", back: false };
  const focused = place.contains(document.activeElement);
  const title = place.querySelector('[data-dial="title"]');
  if (dial.id !== "" && (dial.id !== going || dial.title !== title.textContent)) {
    fault("");
    said.textContent = `${dial.title}. ${dial.help}`;
  }
  going = dial.id;
  place.hidden = dial.id === "";
  place.dataset.sign = dial.sign;
  for (const name of ["title", "help", "ref"]) place.querySelector(`[data-dial="${name}"]`).textContent = dial[name];
  back.hidden = !dial.back;
  // who talks does not call
  form.hidden = !view.known || dial.back || view.calls.length > 0;
  if (focused && document.activeElement?.offsetParent === null) (place.hidden ? document.getElementById("content") : title).focus();
});
