// The button by which messages of who calls are shown in this browser from now on. Without scripts, or where the browser cannot,
// nothing else of the page is missing.
const part = document.getElementById("push");
const said = document.getElementById("said");
const button = document.getElementById("switch");

if ("serviceWorker" in navigator && "PushManager" in window && "Notification" in window) part.hidden = false;

function key(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

async function subscribed(manager) {
  const asked = { userVisibleOnly: true, applicationServerKey: key(part.dataset.key) };
  try {
    return await manager.subscribe(asked);
  } catch (error) {
    if (error.name !== "InvalidStateError") throw error;
    // what was agreed to under a former key of the company's reaches nobody any more
    await (await manager.getSubscription()).unsubscribe();
    return manager.subscribe(asked);
  }
}

async function switchOn() {
  if ((await Notification.requestPermission()) !== "granted") return "refused";
  await navigator.serviceWorker.register("/sw.js");
  const worker = await navigator.serviceWorker.ready;
  const made = await subscribed(worker.pushManager);
  const answer = await fetch(part.dataset.place, {
    method: "POST", headers: { "Content-Type": "application/json", "X-Push-Once": part.dataset.once }, body: JSON.stringify(made),
  });
  return answer.ok ? "done" : "failed";
}

button.addEventListener("click", async () => {
  button.disabled = true;
  const what = await switchOn().catch(() => "failed");
  button.hidden = what === "done";
  button.disabled = false;
  said.textContent = said.dataset[what];
});
