"use strict";

// Everything a message says is set as text, never as markup: nothing in it can run.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function drawing(viewBox, ...paths) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", viewBox);
  svg.setAttribute("aria-hidden", "true");
  for (const [tag, attributes] of paths) {
    const shape = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}

const byId = (id) => document.getElementById(id);
const announce = (text) => { byId("announcer").textContent = text; };

const clockTime = (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const exactTime = (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function ago(date) {
  const seconds = Math.max(0, Math.round((Date.now() - date) / 1000));
  if (seconds < 3) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

// Outside https and localhost a browser has no clipboard object; the old way still works there.
async function putOnClipboard(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* refused: try the old way */ }
  }
  const focused = document.activeElement;
  const area = make("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

async function copyWithFeedback(button, text, what) {
  const done = await putOnClipboard(text);
  announce(done ? `${what} copied` : `${what} could not be copied`);
  if (!button || button.dataset.label) return;
  button.dataset.label = button.textContent;
  button.textContent = done ? "Copied ✓" : "Press Ctrl+C";
  button.classList.toggle("copied", done);
  setTimeout(() => {
    button.textContent = button.dataset.label;
    button.classList.remove("copied");
    delete button.dataset.label;
  }, 1500);
}

function copyButton(label, text, what, className) {
  const button = make("button", { type: "button", class: className }, label);
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    copyWithFeedback(button, text, what);
  });
  return button;
}

// A sentence's directions hold across the pieces only while all of them are plain inline text.
function wordsWithCode(text, code) {
  const words = make("span", { class: "words" });
  const pieces = code ? text.split(code) : [text];
  pieces.forEach((piece, index) => {
    if (index) words.append(make("mark", { title: "Copy the code" }, code));
    words.append(piece);
  });
  return words;
}

const requestLine = (number) =>
  [
    "curl -s \\",
    `  ${location.origin}/api/auth/phone/request/ \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"phone_number": "${number}"}'`,
  ].join("\n");

const verifyLine = (message) =>
  [
    "curl -s \\",
    `  ${location.origin}/api/auth/phone/verify/ \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"phone_number": "${message.to}", "otp": "${message.code}"}'`,
  ].join("\n");
