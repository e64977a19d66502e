// Where an open page goes when its session has ended elsewhere. Whoever signs out on this page goes where that leads:
// the page is told of the end before the answer comes.

let leaving = false;

document.addEventListener("submit", (event) => {
  if (event.target.getAttribute("action") === "/sign-out") leaving = true;
});

export function ended(goal) {
  if (!leaving) location.assign(`/sign-in?ended${goal ? `&for=${goal}` : ""}`);
}
