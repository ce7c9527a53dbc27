// Light or dark, decided in the head: the theme's own script runs after the first paint, and whoever
// reads in the dark would see a white flash. Paper is always light.
(() => {
  "use strict";
  const page = document.documentElement.dataset;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  if (page.theme !== "light" && page.theme !== "dark") page.theme = dark.matches ? "dark" : "light";

  let onScreen = page.theme;
  addEventListener("beforeprint", () => {
    onScreen = page.theme;
    page.theme = "light";
  });
  addEventListener("afterprint", () => { page.theme = onScreen; });
})();
