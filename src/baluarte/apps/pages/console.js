"use strict";
// Sends a form as JSON, with the session's token, and shows what was answered. Nothing is built from text.
const root = document.documentElement.dataset;

async function send(form, button) {
  const said = form.querySelector("output");
  const body = Object.fromEntries(new FormData(form));
  said.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-baluarte-token": root.token || "" },
      body: JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
    });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    const problem = await answer.json();
    const key = problem.code.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
    said.textContent = form.dataset[key] || problem.detail || problem.title;
  } catch {
    said.textContent = root.away;
  }
  button.disabled = false;
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, event.submitter);
  });
}
