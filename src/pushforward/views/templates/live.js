// Shows what is new of the runs of a server without a reload. Without it a page asks again by itself.
"use strict";
const stream = new EventSource(document.currentScript.dataset.stream);
stream.addEventListener("message", async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = new Set([...document.querySelectorAll("main details[open]")].map((one) => one.id));
  const fresh = document.importNode(page.querySelector("main"), true);
  for (const one of fresh.querySelectorAll("details")) one.open = one.open || open.has(one.id);
  document.querySelector("main").replaceWith(fresh);
});
