"use strict";

// -- tables: a click on a heading sorts; the third click gives the order of before --

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], before = [...body.rows];
  for (const head of table.querySelectorAll("th[data-column]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = {none: "descending", descending: "ascending", ascending: "none"}[head.getAttribute("aria-sort")];
      for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      body.append(...(next === "none" ? before : sorted(before, +head.dataset.column, next === "ascending" ? 1 : -1)));
    });
  }
}

// Rows of means stay behind the others, and so do rows without a number.
function sorted(rows, column, sign) {
  const value = row => column ? row.cells[column].dataset.value : row.cells[0].textContent;
  const number = row => ({"inf": Infinity, "-inf": -Infinity})[value(row)] ?? Number(value(row));
  const compare = (one, other) => column ? sign * (number(one) - number(other)) || 0 : -sign * value(one).localeCompare(value(other));
  const means = rows.filter(row => row.classList.contains("mean"));
  const singles = rows.filter(row => !row.classList.contains("mean"));
  const known = singles.filter(row => value(row) !== undefined);
  return [...known.sort(compare), ...singles.filter(row => value(row) === undefined), ...means];
}

// -- cards: a link opens the one that it leads to --

function openCard() {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card instanceof HTMLDetailsElement) {
    card.open = true;
    card.scrollIntoView();
  }
}
addEventListener("hashchange", openCard);
openCard();

// -- the gallery --

const controls = document.getElementById("controls");
if (controls) {
  controls.hidden = false;
  startGallery();
}

function startGallery() {
  const slider = document.getElementById("a"), opacity = document.getElementById("opacity");
  const outline = document.getElementById("outline"), keys = document.getElementById("keys");
  const ticks = [...document.querySelectorAll(".tick")];
  const colours = coloursOf(document.body.dataset.colours);
  const exhibits = [...document.querySelectorAll(".exhibit")];
  const visible = new Set();  // the exhibits near the window: only these are drawn

  function update() {
    document.getElementById("a-now").textContent = (+slider.value).toFixed(2);
    document.getElementById("opacity-now").textContent = (+opacity.value).toFixed(2);
    for (const tick of ticks) tick.setAttribute("aria-pressed", +tick.dataset.a === +slider.value);
    for (const exhibit of visible) show(exhibit);
  }

  function show(exhibit) {
    if (!exhibit.maps) return;  // its pictures are still being read
    for (const map of exhibit.maps) {
      draw(map, exhibit, +slider.value, +opacity.value, outline.checked, colours);
      tell(map, +slider.value);
    }
  }

  let asked = false;
  function later() {  // once a frame, however fast the slider moves
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; update(); });
  }

  const watch = new IntersectionObserver(entries => {
    for (const {target, isIntersecting} of entries) {
      if (!isIntersecting) {
        visible.delete(target);
        continue;
      }
      visible.add(target);
      target.reading ??= read(target);
      target.reading.then(() => show(target));
    }
  }, {rootMargin: "400px"});
  for (const exhibit of exhibits) watch.observe(exhibit);

  for (const control of [slider, opacity, outline]) control.addEventListener("input", later);
  controls.addEventListener("submit", event => event.preventDefault());
  for (const tick of ticks) tick.addEventListener("click", () => set(tick.dataset.a));
  document.getElementById("help").addEventListener("click", () => keys.showModal());
  for (const exhibit of exhibits) exhibit.addEventListener("click", () => exhibit.focus());

  function set(a) {
    slider.value = a;
    later();
  }

  addEventListener("keydown", event => {
    if (keys.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowLeft: -0.05, ArrowRight: 0.05}[event.key];
    const next = {ArrowUp: -1, ArrowDown: 1, k: -1, j: 1}[event.key];
    const chosen = exhibits.indexOf(document.activeElement);
    if (event.key === "?") keys.showModal();
    else if (event.key === "o") outline.click();
    else if (ticks[event.key - 1]) set(ticks[event.key - 1].dataset.a);
    // A slider moves by itself, and a table that is wider than the window scrolls.
    else if (step && visible.size && !event.target.closest("input, .scroll")) set(+slider.value + step);
    else if (next && chosen >= 0) (exhibits[chosen + next] ?? exhibits[chosen]).focus();
    else if (event.key === "k" || event.key === "j") exhibits.find(e => e.getBoundingClientRect().bottom > innerHeight / 3)?.focus();
    else return;
    event.preventDefault();
  });
  update();
}

function coloursOf(digits) {
  const made = new Uint8Array(768);
  for (let i = 0; i < 768; i++) made[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return made;
}

// Read the pictures of an exhibit, and count the values of each map in and out of the mask.
async function read(exhibit) {
  const find = kind => exhibit.querySelector(kind + " img");
  const photo = await pixels(find(".photo")), truth = await pixels(find(".truth"));
  const width = find(".truth").naturalWidth, count = truth.length / 4;
  exhibit.grey = Uint8Array.from({length: count}, (_, i) => 0.299 * photo[4 * i] + 0.587 * photo[4 * i + 1] + 0.114 * photo[4 * i + 2]);
  exhibit.mask = Uint8Array.from({length: count}, (_, i) => truth[4 * i] > 127);
  exhibit.edge = edgeOf(exhibit.mask, width);
  const maps = [];
  for (const figure of exhibit.querySelectorAll(".map")) maps.push(await readMap(figure, exhibit.mask, width));
  exhibit.maps = maps;
}

async function readMap(figure, mask, width) {
  const image = figure.querySelector("img"), seen = await pixels(image);
  const values = Uint8Array.from({length: mask.length}, (_, i) => seen[4 * i]);
  // above[c][v]: pixels of class c (0 normal, 1 anomalous) with a value of v or more
  const above = [new Uint32Array(257), new Uint32Array(257)];
  for (let i = 0; i < values.length; i++) above[mask[i]][values[i]]++;
  for (const counts of above) for (let v = 255; v >= 0; v--) counts[v] += counts[v + 1];
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = mask.length / width;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", image.alt);
  image.replaceWith(canvas);
  const given = Object.fromEntries(["low", "high", "top", "mean", "std"].map(key => [key, +figure.dataset[key]]));
  const list = key => figure.dataset[key].split(" ").map(Number);
  const exact = {a: list("a"), f1: list("f1"), iou: list("iou")};
  return {figure, values, above, context: canvas.getContext("2d"), given, exact};
}

async function pixels(image) {
  image.loading = "eager";  // it is needed although the window has not come to it
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

// White on the pixels around the mask, black around these: seen on any ground.
function edgeOf(mask, width) {
  const near = (inside, i) => (i % width && inside(i - 1)) || ((i + 1) % width && inside(i + 1)) || inside(i - width) || inside(i + width);
  const edge = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) if (!mask[i] && near(j => mask[j], i)) edge[i] = 1;
  for (let i = 0; i < mask.length; i++) if (!mask[i] && !edge[i] && near(j => edge[j] === 1, i)) edge[i] = 2;
  return edge;
}

// The smallest of the 256 values that is above µ + a·σ.
function firstAbove({low, high, mean, std}, a) {
  const threshold = high > low ? (mean + a * std - low) / (high - low) * 255 : 0;
  return Math.min(256, Math.max(0, Math.floor(threshold) + 1));
}

function quality({above, given}, a) {
  const first = firstAbove(given, a), anomalous = above[1][0];
  const hits = above[1][first], wrong = above[0][first];
  return {f1: 2 * hits / (anomalous + hits + wrong), iou: hits / (anomalous + wrong)};
}

function draw(map, exhibit, a, opacity, outline, colours) {
  const {values, context, given} = map, {width, height} = context.canvas;
  const first = firstAbove(given, a), picture = context.createImageData(width, height), data = picture.data;
  const stretch = given.top > given.low ? (given.high - given.low) / (given.top - given.low) : 1;
  for (let i = 0; i < values.length; i++) {
    const share = values[i] >= first ? opacity : opacity / 4, grey = exhibit.grey[i];
    const colour = 3 * Math.min(255, Math.round(values[i] * stretch));
    for (let c = 0; c < 3; c++) data[4 * i + c] = share * colours[colour + c] + (1 - share) * grey;
    if (outline && exhibit.edge[i]) data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = exhibit.edge[i] === 1 ? 255 : 0;
    data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function tell(map, a) {
  const {f1, iou} = quality(map, a), {exact} = map;
  const nearest = exact.a.reduce((best, x, i) => Math.abs(x - a) < Math.abs(exact.a[best] - a) ? i : best, 0);
  map.figure.querySelector(".live").textContent = `F1 ${f1.toFixed(2)}, IoU ${iou.toFixed(2)} (± 0.01)`;
  map.figure.querySelector(".stored").textContent = `stored, a = ${exact.a[nearest]}: F1 ${exact.f1[nearest].toFixed(3)}, IoU ${exact.iou[nearest].toFixed(3)}`;
}
