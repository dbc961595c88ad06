// Runs before anything is drawn, so that a dark page is never white for a moment.
try {
  const theme = localStorage.getItem("lmkernel.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // a browser that keeps nothing shows what the system asks for
}
