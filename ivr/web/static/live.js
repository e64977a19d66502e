// An open page follows the desk by a websocket until its session ends. A script sees no pings: where nothing is heard for longer than the
// desk is ever silent, the way to it is cut, whatever the browser says of it, and what the page has shown may not be so any more.

import { ended } from "./ended.js";

const OVER = 4401;
const LEAST = 250;
const MOST = 10000;

// `draw` is given what there is to show; `forget` takes it away. `silent`: seconds. `goal`: where a new sign-in leads.
export function follow(path, silent, goal, draw, forget) {
  const note = document.getElementById("lost");
  let wait = LEAST;

  function connect() {
    // browsers send other languages with a websocket than with the page
    const query = new URLSearchParams({ language: document.documentElement.lang });
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}?${query}`);
    let heard = Date.now();
    let gone = false;
    // by the clock and not by one long timer, which stands still while the machine sleeps
    const late = () => Math.abs(Date.now() - heard) > silent * 1000;
    const watch = setInterval(() => late() && lose(), Math.min(1000, silent * 250));

    function leave() {
      gone = true;
      clearInterval(watch);
      // it hands on nothing any more: what a way that was cut delivers late is not so now
      socket.close();
      forget();
    }

    function lose() {
      leave();
      note.hidden = false;
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, MOST);
    }

    socket.addEventListener("message", (event) => {
      if (gone) return;
      // what lay on this side while the machine slept is not so now
      if (late()) {
        lose();
        return;
      }
      heard = Date.now();
      wait = LEAST;
      note.hidden = true;
      draw(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      if (gone) return;
      if (event.code === OVER) {
        leave();
        ended(goal);
      } else {
        lose();
      }
    });
  }

  connect();
}
