(() => {
  const button = document.getElementById("pause");
  let stopped = false;
  button.hidden = false;
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
    button.textContent = stopped ? "Update again" : "Stop updating";
  });
  setInterval(async () => {
    const main = document.querySelector("main");
    if (stopped || document.hidden || main.contains(document.activeElement)) return;
    try {
      // Not "/": the page's own address may hold a login, and such a request is refused.
      const answer = await fetch(location.origin + "/", {cache: "no-store", credentials: "same-origin"});
      if (!answer.ok) throw new Error(String(answer.status));
      // Its middle alone: the style of another answer has another nonce.
      const text = await answer.text();
      if (!stopped) main.innerHTML = text.slice(text.indexOf("<main>") + 6, text.lastIndexOf("</main>"));
    } catch (error) {
      document.getElementById("state").textContent = "The service does not answer. Trying again.";
    }
  }, 5000);
})();
