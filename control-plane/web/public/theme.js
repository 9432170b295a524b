// Chooses light or dark before the first paint. A file of its own because the page's policy allows no inline script.
(() => {
  let choice = "system";
  try {
    choice = localStorage.getItem("dflow.theme") ?? "system";
  } catch (error) {
    console.warn("The theme choice cannot be read here.", error);
  }
  const dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
