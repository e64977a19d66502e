// Asks the device for a passkey, or to make one, and sends its answer along with the form. Without a script the form works as ever.

const box = document.getElementById("passkey");
const button = box.querySelector("button");
const told = box.querySelector("[role=status]");
const form = document.getElementById(box.dataset.form);
const make = box.dataset.do === "make";

function bytes(text) {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function options() {
  const answer = await fetch(box.dataset.options, { method: "POST", headers: { "CSRF-Token": form.elements.csrf.value } });
  if (!answer.ok) throw new Error(String(answer.status));
  const asked = await answer.json();
  asked.challenge = bytes(asked.challenge);
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    for (const one of asked[list] ?? []) one.id = bytes(one.id);
  }
  if (make) asked.user.id = bytes(asked.user.id);
  return asked;
}

async function answered() {
  const publicKey = await options();
  const found = await (make ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
  const names = make ? ["clientDataJSON", "attestationObject"] : ["clientDataJSON", "authenticatorData", "signature", "userHandle"];
  const response = {};
  for (const name of names) if (found.response[name]) response[name] = text(found.response[name]);
  return { id: found.id, rawId: text(found.rawId), type: found.type, response, clientExtensionResults: {} };
}

async function go() {
  for (const name of (box.dataset.fields ?? "").split(" ").filter(Boolean)) {
    if (!form.elements[name].reportValidity()) return;
  }
  button.disabled = true;
  told.textContent = box.dataset.waiting;
  try {
    form.elements.passkey.value = JSON.stringify(await answered());
    form.submit();
  } catch {
    // a person who has changed their mind, a device without a key, a site that does not answer
    told.textContent = box.dataset.failed;
    button.disabled = false;
    button.focus();
  }
}

if (window.PublicKeyCredential) {
  box.hidden = false;
  button.addEventListener("click", go);
}
