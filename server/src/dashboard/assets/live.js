// Says whether the page is live: a page that stands still must not look like a fleet that does.
(() => {
  const say = (state) => { document.documentElement.dataset.live = state; };
  const SOON = 5000; // A connection that does not come by then is refused, or the files of the page did not come.
  setTimeout(() => { if (document.documentElement.dataset.live !== "on") say("off"); }, SOON);
  document.addEventListener("htmx:sse:after:connection", () => say("on"));
  for (const lost of ["htmx:sse:error", "htmx:sse:close"]) {
    document.addEventListener(lost, () => say("off"));
  }
})();
