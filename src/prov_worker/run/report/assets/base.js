"use strict";
// What all parts of the page share. Text from the run reaches the page through textContent alone, never as HTML.
const SVG = "http://www.w3.org/2000/svg";

function el(name, attributes, ...children) {
  const svg = /^(svg|g|path|rect|line|text|title|circle|tspan|desc)$/.test(name);
  const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child.nodeType ? child : document.createTextNode(String(child)));
  }
  return node;
}
const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Figures as people read them: as humanize.py writes them in the tables.
function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 s";
  for (const [limit, factor, unit] of [
    [0.9995e-3, 1e6, "µs"],
    [0.9995, 1e3, "ms"],
    [59.95, 1, "s"],
  ])
    if (seconds < limit) {
      const value = seconds * factor;
      return `${value.toFixed(value >= 99.95 || unit === "µs" ? 0 : value >= 9.995 ? 1 : 2)} ${unit}`;
    }
  const whole = Math.round(seconds),
    two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}
function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0,
    value = bytes;
  while (Math.abs(value) >= 1024 && at < 4) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
function number(value) {
  if (value === null || value === undefined) return "–";
  const magnitude = Math.abs(value);
  if (Number.isInteger(value) || magnitude >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2);
}
const percent = (value) =>
  value === null || value === undefined ? "–" : `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} %`;
// Text with `code` or ``code`` in it, as docstrings have it.
const prose = (text) =>
  text.split(/(``[^`]+``|`[^`]+`)/).map((part, at) => (at % 2 ? el("code", {}, part.replace(/`/g, "")) : part));
const plural = (count, noun) => `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
function clock(ms, fine) {
  const text = new Date(ms).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, fine ? 23 : 19)}`;
}

// Colours that stay apart for most kinds of colour blindness; red is for failures alone.
const HUES = {
  light: ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7a5aa6", "#8c6d31", "#5f6b7a", "#3f7f93", "#b48ead"],
  dark: ["#4aa3df", "#f0b73a", "#2fc79a", "#e09cc2", "#8ccbf2", "#a88bd4", "#b99a5b", "#93a0b1", "#6db0c4", "#cdb0c8"],
};
let printing = false;
function isDark() {
  const theme = document.documentElement.dataset.theme;
  return !printing && (theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches));
}
const hue = (index) => {
  const all = HUES[isDark() ? "dark" : "light"];
  return all[index % all.length];
};
// Each function has a colour of its own as long as there are some: all others share the grey, in bars and legend alike.
const OWN = [0, 1, 2, 3, 4, 5, 6, 8, 9],
  GREY = 7;
const functionHue = (fn) => hue(fn < OWN.length ? OWN[fn] : GREY);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const badColour = () => (isDark() ? "#ff6b5f" : "#c62828");

const tip = byId("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${clamp(x + 14, 4, innerWidth - box.width - 4)}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18}px`;
}
const hideTip = () => {
  tip.hidden = true;
};

// Data: base64 of raw deflate of JSON (https://compression.spec.whatwg.org, in all browsers since 2023).
function canUnpack() {
  try {
    return Boolean(new DecompressionStream("deflate-raw"));
  } catch (error) {
    return false; // no such class, or without the raw format
  }
}
async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).json();
}
