// Swaps <main> for what the server says now. Without this script the page is whole too, and loads anew when asked to.
"use strict";
(() => {
  const verdict = document.getElementById("verdict");
  const pause = document.getElementById("pause");
  const lost = document.getElementById("lost");
  let paused = false;

  const period = () => Math.max(2, Number(document.getElementById("main").dataset.seconds) || 15) * 1000;

  const take = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html").getElementById("main");
    if (!next) throw new Error("not the page");
    document.getElementById("main").replaceWith(next);
    if (verdict.textContent !== next.dataset.verdict) {  // announced by readers, so only when it is news
      verdict.textContent = next.dataset.verdict;
      document.title = next.dataset.verdict;
    }
    verdict.className = next.dataset.tone;
  };

  const show = (reason) => {
    document.body.classList.toggle("lost", reason !== "");
    if (lost.textContent !== reason) lost.textContent = reason;
  };

  const update = async () => {
    try {
      const answer = await fetch("/stats?fragment=1", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      take(await answer.text());
      show("");
    } catch {
      show("No answer: what is shown is old.");
    }
  };

  const tick = async () => {
    if (!paused && !document.hidden) await update();
    setTimeout(tick, period());
  };

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) update();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) update(); });
  document.getElementById("controls").hidden = false;
  setTimeout(tick, period());
})();
