// Says whether the page is live: a page that stands still must not look like a fleet that does.
(() => {
  const say = (state) => { document.documentElement.dataset.live = state; };
  document.addEventListener("htmx:sse:after:connection", () => say("on"));
  for (const lost of ["htmx:sse:error", "htmx:sse:close"]) {
    document.addEventListener(lost, () => say("off"));
  }
})();
