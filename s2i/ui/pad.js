// The pad: two layers, tools, undo, storage, and the throttled snapshots that the server paints.
// Truth is in `page.lines` and `page.colors` (ImageData); the canvases only show it. A method that
// reads photos has a sheet of its own instead: a photo, and `page.marks` painted on it.

const s2i = (window.s2i ??= {});
const LAYERS = ['lines', 'colors'];
const TITLES = { lines: 'Lines', colors: 'Colours' };
const BLACK = [0, 0, 0, 255];
const MARKS = { object: [61, 220, 132, 255], background: [214, 40, 88, 255] };
const LONG_SIDE_PX = 512;
const PHOTO_SIDE_PX = 2048;
const PNG_CHARS = 2e6; // a photo that is larger as PNG becomes a JPEG
const HISTORY_BYTES = 96e6;
const POST_MS = 100; // a snapshot is sent at least this often while the pen is down
const REST_MS = 25; // and never sooner than this after the one before
const SAVE_MS = 1000;
const OFFLINE_MS = 4000; // until it is asked whether the server is there; longer each time it is
const DAY_MS = 24 * 3600e3;

const find = (selector) => element.querySelector(selector);
const findAll = (selector) => [...element.querySelectorAll(selector)];
const methods = Object.fromEntries(props.methods.map((method) => [method.name, method]));
const canvas = {}, context = {};
for (const name of [...LAYERS, 'marks']) {
  canvas[name] = find(`canvas.${name}`);
  context[name] = canvas[name].getContext('2d', { willReadFrequently: true });
}
const view = find('.view'), sheet = find('.sheet'), cursor = find('.cursor');

const page = { width: 0, height: 0, lines: null, colors: null, marks: new ImageData(LONG_SIDE_PX, LONG_SIDE_PX) };
let photo = null; // {id, url, time}
const hand = {
  layer: 'lines',
  lines: { tool: 'brush', size: { brush: 2, erase: 16 } },
  colors: { tool: 'brush', size: { brush: 24, erase: 24 } },
  marks: { tool: 'brush', size: { brush: 16, erase: 24 } },
  mark: 'object',
  color: props.palette[0],
  palette: props.palette,
};
let method = methods[props.methods[0]?.name];
let expected = null; // the method whose picture is on the stage before its tab is
let isPaused = false;

const onPhoto = () => Boolean(method?.reads.includes('photo'));
const canMark = (one = method) => photo && one.reads.includes('marks');
const canUse = (tool) => !onPhoto() || tool === 'pan' || canMark() && ['brush', 'erase'].includes(tool);
const layerNow = () => (onPhoto() ? 'marks' : hand.layer);
const sizeNow = () => (onPhoto() ? page.marks : page);

// ---------------------------------------------------------------- page and layers

function setSize(width, height) {
  page.width = width;
  page.height = height;
  for (const name of LAYERS) {
    canvas[name].width = width;
    canvas[name].height = height;
    page[name] = new ImageData(width, height);
  }
  if (!onPhoto()) fit();
}

const whole = ({ width, height }) => ({ x: 0, y: 0, w: width, h: height });

function show(name, rect = whole(page[name])) {
  context[name].putImageData(page[name], 0, 0, rect.x, rect.y, rect.w, rect.h);
}

function isEmpty(name) {
  const { data } = page[name];
  for (let i = 3; i < data.length; i += 4) if (data[i]) return false;
  return true;
}

const urls = { lines: null, colors: null, marks: null };
const urlOf = (name) => (urls[name] ??= canvas[name].toDataURL('image/png'));

function changed(names) {
  s2i.all?.close();
  expected = null;
  stopStream();
  for (const name of names) urls[name] = null;
  drawingTime = performance.now();
  again = 0;
  isDirty = true;
  schedule();
  (stroke ? saveSoon : save)();
  s2i.stage?.drawGhost(canvas.lines);
}

// ---------------------------------------------------------------- history

const histories = { drawing: { past: [], future: [] }, photo: { past: [], future: [] } };
const historyNow = () => histories[onPhoto() ? 'photo' : 'drawing'];

function remember(entry) {
  const { past, future } = histories[entry.name === 'marks' || entry.isPhoto ? 'photo' : 'drawing'];
  past.push(entry);
  future.length = 0;
  let bytes = 0;
  for (let i = past.length - 1; i >= 0; i--) {
    bytes += past[i].bytes;
    if (bytes > HISTORY_BYTES) {
      past.splice(0, i);
      break;
    }
  }
  showHistory();
}

function showHistory() {
  const { past, future } = historyNow();
  find('[data-do=undo]').disabled = !past.length;
  find('[data-do=redo]').disabled = !future.length;
}

// Run `action` on one layer and remember the rectangle it touched (the whole layer if unsure).
function rememberPatch(name, before, rect) {
  if (!rect) return;
  remember({
    name, rect, bytes: rect.w * rect.h * 8,
    before: cut(before, rect), after: cut(page[name], rect),
  });
}

function cut(layer, { x, y, w, h }) {
  const out = new ImageData(w, h);
  for (let row = 0; row < h; row++) {
    const from = ((y + row) * layer.width + x) * 4;
    out.data.set(layer.data.subarray(from, from + w * 4), row * w * 4);
  }
  return out;
}

function paste(layer, patch, { x, y }) {
  for (let row = 0; row < patch.height; row++) {
    const from = row * patch.width * 4;
    const to = ((y + row) * layer.width + x) * 4;
    layer.data.set(patch.data.subarray(from, from + patch.width * 4), to);
  }
}

const copyLayer = (layer) => new ImageData(layer.data.slice(), layer.width, layer.height);
const copyPage = () => ({ lines: copyLayer(page.lines), colors: copyLayer(page.colors) });

function putPage({ lines, colors }) {
  if (lines.width !== page.width || lines.height !== page.height) setSize(lines.width, lines.height);
  page.lines.data.set(lines.data);
  page.colors.data.set(colors.data);
  LAYERS.forEach((name) => show(name));
}

function step(from, to, side) {
  const entry = from.pop();
  if (!entry) return;
  to.push(entry);
  if (entry.rect) {
    paste(page[entry.name], entry[side], entry.rect);
    show(entry.name, entry.rect);
    changed([entry.name]);
  } else if (entry.isPhoto) {
    putPhoto(entry[side]);
    repaint();
  } else {
    putPage(entry[side]);
    changed(LAYERS);
  }
  showHistory();
}

function undo() {
  endStroke();
  step(historyNow().past, historyNow().future, 'before');
}

function redo() {
  endStroke();
  step(historyNow().future, historyNow().past, 'after');
}

function replacePage(next, { isUndoable = true } = {}) {
  endStroke();
  const before = copyPage();
  putPage(next);
  if (isUndoable) {
    const bytes = 8 * (before.lines.data.length / 4 + next.lines.data.length / 4);
    remember({ before, after: copyPage(), bytes });
  }
  changed(LAYERS);
}

function clearLayer(name) {
  if (isEmpty(name)) return;
  const before = copyLayer(page[name]);
  page[name].data.fill(0);
  show(name);
  rememberPatch(name, before, whole(before));
  changed([name]);
}

// ---------------------------------------------------------------- the photo and its marks

// Lay a photo {id, url, time} on its sheet, null for none, with marks on it (a PNG) or without. One
// that nobody chose (`isOurs`) takes nobody's place.
async function layPhoto(next, { marks: source, isUndoable = true, isOurs = false } = {}) {
  let marks = new ImageData(LONG_SIDE_PX, LONG_SIDE_PX);
  if (next) {
    const { naturalWidth, naturalHeight } = await toPicture(next.url);
    const [width, height] = fitSize(naturalWidth, naturalHeight, { low: 1 });
    marks = source ? pixelsOf(await toPicture(source), width, height, { isSmooth: false })
      : new ImageData(width, height);
  }
  if (isOurs && photo) return; // someone was faster
  endStroke();
  const before = { photo, marks: page.marks }, after = { photo: next, marks };
  putPhoto(after);
  const bytes = (before.photo?.url.length ?? 0) + (next?.url.length ?? 0);
  if (isUndoable) remember({ isPhoto: true, before, after, bytes });
  if (onPhoto()) repaint();
}

function putPhoto(next) {
  photo = next.photo;
  page.marks = next.marks;
  canvas.marks.width = page.marks.width;
  canvas.marks.height = page.marks.height;
  urls.marks = null;
  show('marks');
  if (photo) {
    find('.photo').src = photo.url;
    store.put('photos', photo);
  }
  showSheet();
  save();
}

// One of two sheets is on the pad: the drawing, or the photo with its marks.
function showSheet() {
  const pad = find('.pad');
  pad.dataset.sheet = onPhoto() ? 'photo' : 'drawing';
  pad.classList.toggle('is-blank', onPhoto() && !photo);
  pad.classList.toggle('has-marks', onPhoto() && method.reads.includes('marks'));
  find('.mark-help').textContent = `Green is the object, red is not${method?.live ? '.' : '; then press Paint.'}`;
  find('.drop').textContent = onPhoto() ? 'Drop the photo here' : 'Drop a photo to start from it';
  fit();
  showHistory();
  showHand();
}

// Return a File as a photo: upright, at most 2048 px long, on white; null after a sentence.
async function readFile(file) {
  const room = await redraw(file, (width, height) => {
    const scale = Math.min(1, PHOTO_SIDE_PX / Math.max(width, height));
    return [width, height].map((length) => Math.max(1, Math.round(length * scale)));
  });
  if (!room) return null;
  const brush = room.getContext('2d');
  brush.globalCompositeOperation = 'destination-over';
  brush.fillStyle = '#fff';
  brush.fillRect(0, 0, room.width, room.height);
  const png = file.type === 'image/png' ? room.toDataURL('image/png') : '';
  const url = png && png.length < PNG_CHARS ? png : room.toDataURL('image/jpeg', 0.92);
  return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, url, time: Date.now() };
}

async function openPhoto(file, options) {
  const next = await readFile(file);
  if (next) await layPhoto({ ...next, isOurs: options?.isOurs }, options);
}

// The photo of a kept picture, with its marks; false where this browser has it no more.
async function bringPhoto(id, marks) {
  const kept = photo?.id === id ? photo : await store.get('photos', id);
  if (kept) await layPhoto(kept, { marks });
  return Boolean(kept);
}

// ---------------------------------------------------------------- pictures in

async function toPicture(source) {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  return picture;
}

function fitSize(width, height, { low = 16 } = {}) {
  const scale = LONG_SIDE_PX / Math.max(width, height);
  const side = (length) => Math.min(LONG_SIDE_PX, Math.max(low, Math.round(length * scale)));
  return [side(width), side(height)];
}

function pixelsOf(picture, width, height, { isSmooth = true } = {}) {
  const room = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  room.imageSmoothingEnabled = isSmooth;
  room.imageSmoothingQuality = 'high';
  room.drawImage(picture, 0, 0, width, height);
  return room.getImageData(0, 0, width, height);
}

// Lay pictures (addresses or data URLs) on the two layers. A layer that is not given stays, on the
// same place of the page, even when the page gets another size.
async function load(given, options = {}) {
  const pictures = {};
  for (const name of LAYERS) if (given[name]) pictures[name] = await toPicture(given[name]);
  const first = pictures.lines ?? pictures.colors;
  const [width, height] = first ? fitSize(first.naturalWidth, first.naturalHeight)
    : [page.width, page.height];
  const next = {};
  for (const name of LAYERS) {
    next[name] = new ImageData(width, height);
    if (pictures[name]) {
      const pixels = pixelsOf(pictures[name], width, height);
      next[name] = name === 'lines' ? asLines(pixels) : asColors(pixels);
    } else if (given[name] === undefined) {
      const w = Math.min(width, page.width), h = Math.min(height, page.height);
      paste(next[name], cut(page[name], { x: 0, y: 0, w, h }), { x: 0, y: 0 });
    }
  }
  replacePage(next, options);
}

// Lay a picture of colours on *Colours*, take its twelve most frequent ones as the palette, paint.
async function useColors(source) {
  const picture = await toPicture(source);
  endStroke();
  const before = copyLayer(page.colors);
  const next = asColors(pixelsOf(picture, page.width, page.height, { isSmooth: false }));
  page.colors.data.set(next.data);
  show('colors');
  rememberPatch('colors', before, whole(before));
  const palette = frequentColors(next, props.palette.length);
  if (palette.length) {
    hand.palette = palette;
    setColor(palette[0]);
  }
  changed(['colors']);
  repaint();
}

function frequentColors({ data }, count) {
  const counts = new Map();
  for (let i = 0; i < data.length; i += 4) {
    if (!data[i + 3]) continue;
    const color = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
    counts.set(color, (counts.get(color) ?? 0) + 1);
  }
  const ordered = [...counts].sort((a, b) => b[1] - a[1]).slice(0, count);
  return ordered.map(([color]) => toHex(color >> 16, (color >> 8) & 255, color & 255));
}

// ---------------------------------------------------------------- zoom and pan

const look = { scale: 1, x: 0, y: 0 }; // sheet pixels -> view pixels
let base = 1;

function fit() {
  const { clientWidth: w, clientHeight: h } = view, { width, height } = sizeNow();
  sheet.style.setProperty('--width', width);
  sheet.style.setProperty('--height', height);
  base = Math.min(w / width, h / height) || 1;
  look.scale = base;
  look.x = (w - width * base) / 2;
  look.y = (h - height * base) / 2;
  place();
}

function place() {
  sheet.style.transform = `translate(${look.x}px, ${look.y}px) scale(${look.scale})`;
  sheet.classList.toggle('is-close', look.scale > 2.5);
  showCursor();
}

function zoom(factor, clientX, clientY) {
  const box = view.getBoundingClientRect(), x = clientX - box.left, y = clientY - box.top;
  const scale = Math.min(24 * base, Math.max(base / 2, look.scale * factor)), k = scale / look.scale;
  look.x = x - (x - look.x) * k;
  look.y = y - (y - look.y) * k;
  look.scale = scale;
  place();
}

new ResizeObserver(() => view.clientWidth && fit()).observe(view);

function toPage(event) {
  const box = view.getBoundingClientRect();
  return {
    x: (event.clientX - box.left - look.x) / look.scale,
    y: (event.clientY - box.top - look.y) / look.scale,
  };
}

// ---------------------------------------------------------------- tools

const own = () => hand[layerNow()];
const sizeKind = (tool) => (tool === 'erase' ? 'erase' : 'brush');

function setTool(tool) {
  if (!canUse(tool)) return;
  own().tool = tool;
  showHand();
}

function setMark(name) {
  hand.mark = name;
  if (hand.marks.tool === 'pan' || hand.marks.tool === 'erase') hand.marks.tool = 'brush';
  showHand();
}

function setLayer(name) {
  if (onPhoto()) return;
  endStroke();
  hand.layer = name;
  showHand();
}

function setSizePx(size) {
  own().size[sizeKind(own().tool)] = Math.min(96, Math.max(1, Math.round(size)));
  showHand();
}

function setColor(hex) {
  hand.color = hex.toLowerCase();
  hand.layer = 'colors';
  if (['erase', 'pick', 'pan'].includes(own().tool)) own().tool = 'brush';
  showHand();
}

function showHand() {
  const { tool, size } = own(), now = size[sizeKind(tool)];
  for (const button of findAll('[data-tool]')) {
    button.setAttribute('aria-checked', button.dataset.tool === tool);
    button.disabled = !canUse(button.dataset.tool);
  }
  for (const button of findAll('[data-mark]')) {
    button.setAttribute('aria-checked', button.dataset.mark === hand.mark && tool !== 'erase');
  }
  for (const name of LAYERS) {
    const part = find(`[data-layer=${name}]`), isRead = !method || method.reads.includes(name);
    part.querySelector('.pick').setAttribute('aria-checked', name === hand.layer);
    part.classList.toggle('is-ignored', !isRead);
    canvas[name].classList.toggle('is-ignored', !isRead);
  }
  find('.size input').value = now;
  find('.size output').textContent = now;
  const dot = find('.size .dot i');
  dot.style.width = dot.style.height = `${Math.max(2, Math.min(24, now * look.scale))}px`;
  const inks = { lines: '', colors: hand.color, marks: `rgb(${MARKS[hand.mark].slice(0, 3)})` };
  dot.style.background = tool === 'erase' ? '' : inks[layerNow()];
  const swatches = find('.swatches');
  if (swatches.dataset.colors !== hand.palette.join()) {
    swatches.dataset.colors = hand.palette.join();
    swatches.replaceChildren(...hand.palette.map((color) => {
      const swatch = document.createElement('button');
      swatch.type = 'button';
      swatch.dataset.color = color;
      swatch.style.background = color;
      swatch.title = color;
      swatch.setAttribute('aria-label', `Colour ${color}`);
      return swatch;
    }));
  }
  for (const swatch of swatches.children) {
    swatch.setAttribute('aria-pressed', swatch.dataset.color === hand.color);
  }
  find('.now input').value = hand.color;
  if (document.activeElement !== find('.hex')) find('.hex').value = hand.color;
  view.dataset.tool = isSpaceDown || !canUse(tool) ? 'pan' : tool;
  showCursor();
  saveSoon();
}

function pickAt({ x, y }) {
  const px = Math.floor(x), py = Math.floor(y);
  if (px < 0 || py < 0 || px >= page.width || py >= page.height) return;
  const at = (py * page.width + px) * 4, [r, g, b, a] = page.colors.data.slice(at, at + 4);
  const color = a ? toHex(r, g, b) : s2i.stage?.colorAt((px + 0.5) / page.width, (py + 0.5) / page.height);
  if (color) {
    hand.color = color;
    showHand();
  }
}

function fillAt({ x, y }, isEverywhere) {
  const px = Math.floor(x), py = Math.floor(y), name = hand.layer;
  if (px < 0 || py < 0 || px >= page.width || py >= page.height) return;
  const before = copyLayer(page[name]), rgba = name === 'lines' ? BLACK : toRgba(hand.color);
  const hasChanged = isEverywhere ? replaceColour(page[name], px, py, rgba)
    : fillArea(page[name], page.lines, px, py, rgba);
  if (!hasChanged) return;
  show(name);
  rememberPatch(name, before, whole(before));
  changed([name]);
}

// ---------------------------------------------------------------- strokes

let stroke = null;

function startStroke(event, isErasing) {
  const name = layerNow(), tool = isErasing ? 'erase' : own().tool;
  const inks = { lines: BLACK, colors: toRgba(hand.color), marks: MARKS[hand.mark] };
  stroke = {
    name, tool, id: event.pointerId, before: copyLayer(page[name]), rect: null,
    ink: tool === 'erase' ? null : inks[name],
    size: own().size[sizeKind(tool)], points: [],
  };
  addPoint(event);
}

function radiusOf(event) {
  const radius = stroke.size / 2;
  if (event.pointerType !== 'pen' || !event.pressure) return radius;
  return radius * (0.25 + 1.25 * Math.min(1, event.pressure));
}

function lay(from, to) {
  const rgba = stroke.ink, isSoft = stroke.name === 'lines';
  const rect = drawCapsule(page[stroke.name], from, to, { rgba, isSoft });
  if (!rect) return;
  show(stroke.name, rect);
  stroke.rect = joinRects(stroke.rect, rect);
}

const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, r: (a.r + b.r) / 2 });

// Points are joined by quadratic curves from middle to middle: smooth, and nothing is skipped.
function addPoint(event) {
  const point = { ...toPage(event), r: radiusOf(event) }, { points } = stroke;
  const last = points.at(-1);
  if (!last) {
    points.push(point);
    lay(point, point);
    return;
  }
  if (Math.hypot(point.x - last.x, point.y - last.y) < 0.6) return;
  points.push(point);
  if (points.length < 3) {
    lay(last, middle(last, point));
    return;
  }
  const start = middle(points.at(-3), last), end = middle(last, point);
  const steps = Math.max(2, Math.ceil(Math.hypot(end.x - start.x, end.y - start.y) / 3));
  let from = start;
  for (let i = 1; i <= steps; i++) {
    const t = i / steps, a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
    const to = {
      x: a * start.x + b * last.x + c * end.x,
      y: a * start.y + b * last.y + c * end.y,
      r: a * start.r + b * last.r + c * end.r,
    };
    lay(from, to);
    from = to;
  }
}

function endStroke() {
  if (!stroke) return;
  const { points, name } = stroke;
  if (points.length > 1) lay(middle(points.at(-2), points.at(-1)), points.at(-1));
  rememberPatch(name, stroke.before, stroke.rect);
  stroke = null;
  changed([name]);
}

function dropStroke() {
  if (!stroke) return;
  const { name, before } = stroke;
  page[name].data.set(before.data);
  stroke = null;
  show(name);
  changed([name]);
}

// ---------------------------------------------------------------- pointer, fingers, wheel

const fingers = new Map();
let gesture = null, pan = null, hasSeenPen = false, isSpaceDown = false;

function showCursor(event) {
  if (event) cursor.at = { x: event.clientX, y: event.clientY, type: event.pointerType };
  const { tool, size } = own(), { at } = cursor;
  const isShown = at && at.type !== 'touch' && ['brush', 'erase'].includes(view.dataset.tool);
  cursor.hidden = !isShown || cursor.isOut;
  if (!isShown) return;
  const box = view.getBoundingClientRect();
  const across = Math.max(3, size[sizeKind(stroke?.tool ?? tool)] * look.scale);
  cursor.style.width = cursor.style.height = `${across}px`;
  cursor.style.transform =
    `translate(${at.x - box.left - across / 2}px, ${at.y - box.top - across / 2}px)`;
}

function startGesture() {
  dropStroke();
  const all = [...fingers.values()];
  gesture ??= { count: 0, time: performance.now(), moved: 0 };
  gesture.count = Math.max(gesture.count, all.length);
  gesture.last = spanOf(all);
}

function spanOf([a, b]) {
  return {
    x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2,
    d: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1,
  };
}

function moveGesture() {
  if (fingers.size < 2) return;
  const now = spanOf([...fingers.values()]), { last } = gesture;
  gesture.moved += Math.hypot(now.x - last.x, now.y - last.y) + Math.abs(now.d - last.d);
  gesture.last = now;
  if (gesture.moved < 12) return;
  look.x += now.x - last.x;
  look.y += now.y - last.y;
  zoom(now.d / last.d, now.x, now.y);
}

view.addEventListener('pointerdown', (event) => {
  if (event.target.closest('.notice')) return;
  canvas[onPhoto() ? 'marks' : 'lines'].focus({ preventScroll: true });
  if (event.pointerType === 'pen') hasSeenPen = true;
  view.setPointerCapture(event.pointerId);
  showCursor(event);
  if (event.pointerType === 'touch') {
    fingers.set(event.pointerId, event);
    if (fingers.size > 1) return startGesture();
    if (hasSeenPen) return;
  }
  if (stroke) return;
  const tool = event.button === 1 ? 'pan' : view.dataset.tool;
  const isErasing = event.button === 2 || event.button === 5;
  if (tool === 'pan') pan = { id: event.pointerId, x: event.clientX, y: event.clientY };
  else if (isErasing || tool === 'brush' || tool === 'erase') startStroke(event, isErasing);
  else if (tool === 'fill') fillAt(toPage(event), event.shiftKey);
  else if (tool === 'pick') pickAt(toPage(event));
  hideNotice();
});

view.addEventListener('pointermove', (event) => {
  showCursor(event);
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
  if (gesture) return moveGesture();
  if (pan?.id === event.pointerId) {
    look.x += event.clientX - pan.x;
    look.y += event.clientY - pan.y;
    Object.assign(pan, { x: event.clientX, y: event.clientY });
    return place();
  }
  if (stroke?.id !== event.pointerId) {
    if (own().tool === 'pick' && event.buttons === 1 && !hasSeenPen) pickAt(toPage(event));
    return;
  }
  const all = event.getCoalescedEvents?.() ?? [];
  for (const part of all.length ? all : [event]) addPoint(part);
  changed([stroke.name]);
});

function lift(event) {
  fingers.delete(event.pointerId);
  if (pan?.id === event.pointerId) pan = null;
  if (gesture) {
    if (fingers.size) return;
    const { count, moved, time } = gesture;
    gesture = null;
    if (moved < 12 && performance.now() - time < 400) (count === 2 ? undo : redo)();
    return;
  }
  if (stroke?.id !== event.pointerId) return;
  if (event.type === 'pointerup') addPoint(event);
  endStroke();
}

view.addEventListener('pointerup', lift);
view.addEventListener('pointercancel', lift);
view.addEventListener('pointerenter', () => { cursor.isOut = false; });
view.addEventListener('pointerleave', () => { cursor.isOut = true; cursor.hidden = true; });
view.addEventListener('contextmenu', (event) => event.preventDefault());
view.addEventListener('wheel', (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
}, { passive: false });

// ---------------------------------------------------------------- buttons and keys

const toggled = { lines: true, colors: true, marks: true, onion: false };

function toggle(name) {
  toggled[name] = !toggled[name];
  if (name === 'onion') {
    find('[data-do=onion]').setAttribute('aria-pressed', toggled.onion);
    find('.sheet .onion').hidden = !toggled.onion;
    return;
  }
  find(`[data-layer=${name}] .eye`).setAttribute('aria-pressed', toggled[name]);
  canvas[name].classList.toggle('is-hidden', !toggled[name]);
}

const actions = {
  undo, redo, fit,
  clear: () => clearLayer(layerNow()),
  onion: () => toggle('onion'),
  keys: () => find('.keys').showModal(),
  tour: () => setTimeout(() => s2i.tour?.start()), // once the list is closed and gave the focus back
};

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const { tool, color, mark } = button.dataset;
  const layer = button.closest('[data-layer]')?.dataset.layer;
  if (tool) setTool(tool);
  else if (mark) setMark(mark);
  else if (color) setColor(color);
  else if (layer) (button.matches('.eye') ? toggle : setLayer)(layer);
  else actions[button.dataset.do]?.();
});

find('.size input').addEventListener('input', (event) => setSizePx(+event.target.value));
find('.now input').addEventListener('input', (event) => setColor(event.target.value));
find('.hex').addEventListener('input', (event) => {
  const hex = event.target.value.trim().replace(/^#?/, '#');
  const full = /^#[0-9a-f]{3}$/i.test(hex) ? hex.replace(/[0-9a-f]/gi, '$&$&') : hex;
  const isColor = /^#[0-9a-f]{6}$/i.test(full);
  event.target.setAttribute('aria-invalid', !isColor);
  if (isColor) setColor(full);
});
find('.hex').addEventListener('blur', (event) => {
  event.target.removeAttribute('aria-invalid');
  showHand();
});

const KEYS = {
  b: () => setTool('brush'), e: () => setTool('erase'), g: () => setTool('fill'),
  i: () => setTool('pick'), l: () => setLayer('lines'), c: () => setLayer('colors'),
  x: () => onPhoto() && setMark(hand.mark === 'object' ? 'background' : 'object'),
  1: () => toggle(onPhoto() ? 'marks' : 'lines'), 2: () => onPhoto() || toggle('colors'), 0: fit,
  '[': () => setSizePx(own().size[sizeKind(own().tool)] / 1.25 - 0.5),
  ']': () => setSizePx(own().size[sizeKind(own().tool)] * 1.25 + 0.5),
  delete: actions.clear, backspace: actions.clear,
  a: () => isRestored && s2i.all?.toggle(),
  '?': actions.keys,
};

const isTyping = (target) => target.matches?.(
  'textarea, select, [contenteditable=true], input:not([type=range], [type=checkbox], [type=radio], [type=color], [type=file])');
const isPressable = (target) => target.closest?.('button, a, summary, label, input, [role=tab], [role=option]');

document.addEventListener('keydown', (event) => {
  if (isTyping(event.target) || find('.keys').open || event.altKey) return;
  const key = event.key.toLowerCase();
  let action;
  if (event.ctrlKey || event.metaKey) {
    action = { z: event.shiftKey ? redo : undo, y: redo, s: () => s2i.stage?.save() }[key];
  } else if (key === ' ' || key === 'enter') {
    if (isPressable(event.target)) return;
    action = key === 'enter' ? paintAgain : () => { isSpaceDown = true; showHand(); };
  } else action = key === 'escape' ? s2i.all?.isOpen && s2i.all.close : KEYS[key];
  if (!action) return;
  event.preventDefault();
  action();
});
document.addEventListener('keyup', (event) => {
  if (event.key !== ' ' || !isSpaceDown) return;
  isSpaceDown = false;
  showHand();
});

// ---------------------------------------------------------------- notices

let noticeTimer = 0;

function notice(text, { action, run, seconds = 12, isError = false } = {}) {
  const line = find('.notice');
  line.textContent = text;
  line.classList.toggle('is-error', isError);
  if (action) {
    const button = document.createElement('button');
    button.textContent = action;
    button.addEventListener('click', () => { hideNotice(); run(); });
    line.append(' · ', button);
  }
  line.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(hideNotice, seconds * 1000);
}

function hideNotice() {
  find('.notice').hidden = true;
}

// ---------------------------------------------------------------- painting

let seq = 0, shownSeq = 0, again = 0, isDirty = false, isForced = false;
let patience = OFFLINE_MS, drawingTime = 0, postTime = -1e9, postTimer = 0, offlineTimer = 0, lastSent = '';
const times = new Map(); // seq -> time of the last stroke that is in it

function schedule() {
  if (isPaused || !method || !isRestored) return;
  clearTimeout(postTimer);
  const since = performance.now() - postTime;
  postTimer = setTimeout(post, Math.max(0, (seq > shownSeq ? POST_MS : REST_MS) - since));
}

function payload(one = method) {
  const head = { method: one.name, again, is_preview: Boolean(stroke) };
  if (!one.reads.includes('photo')) return { ...head, lines: urlOf('lines'), colors: urlOf('colors') };
  const hasMarks = canMark(one) && !isEmpty('marks');
  return { ...head, photo: photo?.url ?? null, marks: hasMarks ? urlOf('marks') : null };
}

function post() {
  if (onPhoto() && !photo) isDirty = false; // there is nothing to work on yet
  if (!isDirty || isPaused || !method.live && !isForced) return;
  if (!navigator.onLine) return showState('offline'); // Gradio would reload the page: undo is lost
  isDirty = false;
  const value = payload();
  const sent = Object.values(value).join();
  if (!isForced && sent === lastSent) return;
  lastSent = sent;
  isForced = false;
  times.set(seq + 1, drawingTime);
  send(value);
}

function send(value) {
  const isStream = methods[value.method]?.isStream;
  postTime = performance.now();
  if (isStream) {
    stopStream();
    stream = { key: crypto.randomUUID?.() ?? String(Math.random()) };
    value.stream = stream.key;
  }
  props.value = { seq: ++seq, ...value };
  trigger(isStream ? 'paint_steps' : 'paint');
  clearTimeout(offlineTimer);
  offlineTimer = setTimeout(checkConnection, patience);
  setTimeout(showBusy, 150);
}

async function showBusy() {
  if (shownSeq >= seq || isPaused) return;
  const isOffline = document.querySelector('[data-testid=state]').dataset.kind === 'offline';
  if (!isOffline) showState('busy');
  if (performance.now() - postTime < 500) return setTimeout(showBusy, 500);
  const text = await server.loading_of(s2i.start?.settingsOf((jobs.get(seq)?.one ?? method).name).weights).catch(() => null);
  if (!text || shownSeq >= seq) return;
  showState('loading', text);
  setTimeout(showBusy, 500);
}

function payloadForAction() {
  s2i.all?.close();
  stopStream();
  showState('busy');
  return payload();
}

function repaint() {
  s2i.all?.close();
  expected = null;
  stopStream();
  drawingTime = performance.now();
  isDirty = isForced = true;
  schedule();
}

function paintAgain() {
  if (onPhoto() && !photo) return notice('There is no photo yet: drop one here, or choose one below.');
  again += 1;
  if (isPaused) setPaused(false);
  repaint();
}

// The drawing by one method, whatever tab is open: it waits its turn among the others. `onPassing`
// gets what a stream makes on its way; the answer is the last result, null if it was given up.
const jobs = new Map(); // seq -> job
const paintWith = (name, onPassing) => new Promise((finish) => {
  sendJob({ one: methods[name], onPassing, finish });
});

function sendJob(job) {
  endStroke();
  if (!navigator.onLine) return job.finish({ sentence: 'No connection: try it again.' });
  jobs.set(seq + 1, job);
  send({ ...payload(job.one), again: 0, is_single: true });
}

function dropJobs() {
  for (const job of jobs.values()) {
    job.isOver = true;
    job.finish(null);
  }
  stopStream();
}

// What the drawing lacks for a method, in words; nothing where it can be painted.
function lackOf({ reads }) {
  if (reads.includes('photo')) return photo && (onPhoto() || !photo.isOurs) ? '' : 'reads a photo, and there is none on the pad.';
  const read = LAYERS.filter((name) => reads.includes(name));
  if (!read.every(isEmpty)) return '';
  const words = read.map((name) => TITLES[name].toLowerCase()).join(' and ');
  return `reads ${words}, and there ${read.length > 1 ? 'is nothing' : 'are none'} on the pad.`;
}

// A method whose results are streams is known by its first answer. Only one of its streams runs:
// what comes after it waits until it has stopped, and then sees the newest drawing.
let stream = {}, isStreaming = false;

function stopStream() {
  if (!stream.key || stream.isStopped) return;
  stream.isStopped = true;
  lastSent = ''; // the same drawing may be painted again
  if (isStreaming || shownSeq < seq) server.stop_stream(stream.key).catch(() => {});
}

// The stage calls this when a result is on the screen.
function painted(result) {
  const job = jobs.get(result.seq);
  if (result.is_stream) {
    methods[result.method].isStream = true;
    shownSeq = Math.max(shownSeq, result.seq);
    if (!job) return repaint();
    if (!job.isOver) return sendJob(job);
  }
  if (result.picture && result.ms !== undefined && !result.more) methods[result.method].ms = result.ms;
  if (job && !job.isOver) {
    job.isOver = !result.more; // and stays known: the last result of a stream may come twice
    (result.more ? job.onPassing : job.finish)(result);
  }
  if (result.stream !== undefined) {
    const isOld = result.stream !== stream.key || stream.isStopped;
    // Asked to stop before it had begun, it did not hear that.
    if (result.more && isOld) server.stop_stream(result.stream).catch(() => {});
    isStreaming = Boolean(result.more);
    s2i.stage.showRunning(isStreaming);
  }
  if (!result.seq) return showState(isPaused ? 'paused' : 'live'); // the result of an action
  const time = times.get(result.seq);
  for (const key of times.keys()) if (key <= result.seq) times.delete(key);
  const isNewest = result.seq >= shownSeq;
  shownSeq = Math.max(shownSeq, result.seq);
  if (result.picture && !job && isNewest) find('.sheet .onion').src = result.picture;
  if (shownSeq < seq) return;
  clearTimeout(offlineTimer);
  patience = OFFLINE_MS;
  if (isStreaming) offlineTimer = setTimeout(checkConnection, OFFLINE_MS);
  if (isPaused) return;
  if (isStreaming) {
    showState('busy');
    if (isDirty) schedule();
    return;
  }
  if (!job && isNewest) milliseconds = Math.round(performance.now() - (time ?? drawingTime));
  if (!s2i.all?.isRunning) showState('live');
  if (isDirty) schedule();
}

let milliseconds = null;

function showState(kind, text) {
  const pill = document.querySelector('[data-testid=state]');
  if (!pill) return setTimeout(() => showState(kind, text), 100);
  const words = {
    live: milliseconds === null ? 'ready' : method?.live && !method.isStream ? `live · ${milliseconds} ms`
      : `painted · ${(milliseconds / 1000).toFixed(1)} s`,
    busy: 'painting…', paused: 'paused', loading: text,
    offline: 'no connection: your drawing is safe',
  };
  pill.textContent = words[kind];
  pill.dataset.kind = kind;
  pill.setAttribute('aria-pressed', kind === 'paused');
}

function setPaused(isOn) {
  isPaused = isOn;
  clearTimeout(postTimer);
  if (isOn) stopStream();
  showState(isOn ? 'paused' : 'live');
  if (!isOn && isDirty) schedule();
}

async function checkConnection() {
  clearTimeout(offlineTimer);
  if (shownSeq >= seq && !isStreaming) return showState(isPaused ? 'paused' : 'live');
  try {
    await fetch('theme.css', { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(3000) });
    // The connection is there, so the snapshot got lost with the old one or in a full queue.
    const isBack = document.querySelector('[data-testid=state]').dataset.kind === 'offline';
    const job = jobs.get(seq), one = job?.one ?? method;
    if (isBack || one.live && !one.isStream) {
      showState('busy');
      patience *= 2; // or a slow server would never get done
      if (job && !job.isOver) sendJob(job);
      else repaint();
    }
  } catch {
    showState('offline');
    save();
  }
  offlineTimer = setTimeout(checkConnection, OFFLINE_MS);
}

addEventListener('offline', () => showState('offline'));
addEventListener('online', () => { checkConnection(); schedule(); });

document.addEventListener('click', (event) => {
  const name = event.target.closest?.('[data-testid]')?.dataset.testid;
  if (name === 'state') setPaused(!isPaused);
  else if (name === 'theme') {
    const isDark = document.body.classList.toggle('dark');
    try { localStorage.setItem('s2i.theme', isDark ? 'dark' : 'light'); } catch { /* private */ }
  }
});

// ---------------------------------------------------------------- storage

const tabId = (() => {
  try {
    const known = sessionStorage.getItem('s2i.tab');
    if (known) return known;
    const fresh = crypto.randomUUID?.() ?? String(Math.random());
    sessionStorage.setItem('s2i.tab', fresh);
    return fresh;
  } catch {
    return 'one';
  }
})();
let saveTimer = 0, isRestored = false;

function saveSoon() {
  if (!isRestored) return;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, SAVE_MS);
}

function save() {
  if (!isRestored) return;
  clearTimeout(saveTimer);
  const drawing = {
    id: tabId, version: 1, time: Date.now(), lines: urlOf('lines'), colors: urlOf('colors'),
    photo: photo?.id, marks: photo ? urlOf('marks') : undefined,
    hand: structuredClone(hand), settings: s2i.start?.settings,
  };
  store.put('drawings', drawing);
}

addEventListener('pagehide', save);
document.addEventListener('visibilitychange', () => document.hidden && save());

async function restore() {
  const all = (await store.all('drawings')).sort((a, b) => b.time - a.time);
  for (const old of all.slice(12)) store.drop('drawings', old.id);
  dropPhotos(all.slice(0, 12));
  const drawing = all.find((one) => one.id === tabId) ?? all[0];
  try {
    if (!drawing) throw new Error('a first visit');
    Object.assign(hand, drawing.hand);
    await load({ lines: drawing.lines, colors: drawing.colors }, { isUndoable: false });
    const kept = drawing.photo && await store.get('photos', drawing.photo);
    if (kept) await layPhoto(kept, { marks: drawing.marks, isUndoable: false });
    const time = new Date(drawing.time);
    const day = time.toDateString() === new Date().toDateString() ? ''
      : `${time.toLocaleDateString([], { day: 'numeric', month: 'short' })}, `;
    const clock = time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
    notice(`Your drawing from ${day}${clock} is back`, { action: 'start new', run: () => clearPage() });
  } catch {
    s2i.isFirstVisit = true;
  }
  while (!s2i.start) await new Promise((resolve) => setTimeout(resolve, 20));
  if (s2i.isFirstVisit) s2i.start.openFirst();
  else if (drawing.settings) await s2i.start.restore(drawing.settings);
  isRestored = true; // nothing is painted or saved before: it would be with the wrong settings
  schedule();
  showHand();
}

// Forget the photos of other days that no drawing and no kept picture needs.
async function dropPhotos(drawings) {
  const needed = new Set([...drawings, ...await store.all('kept')].map((one) => one.photo));
  for (const { id, time } of await store.all('photos')) {
    if (!needed.has(id) && time < Date.now() - DAY_MS) store.drop('photos', id);
  }
}

function clearPage() {
  if (onPhoto()) return photo && layPhoto(null);
  if (isEmpty('lines') && isEmpty('colors')) return;
  replacePage({
    lines: new ImageData(page.width, page.height), colors: new ImageData(page.width, page.height),
  });
}

// ---------------------------------------------------------------- Python to pad, palette

watch('cmd', async () => {
  const { lines, colors, sentence } = props.cmd ?? {};
  if (sentence) notice(sentence, { isError: true });
  if (!lines && !colors) return;
  await load({ lines: lines ?? undefined, colors: colors ?? undefined });
  if (onPhoto()) offerPainter(colors);
});

// The lines of a photo's sketch are on the pad now, though another sheet is seen.
function offerPainter(colors) {
  const painter = painterOf();
  notice(`The sketch is on the pad's Lines${colors ? ", the photo's colours on Colours" : ''}`, {
    action: `open ${painter.title}`, run: () => s2i.start.openTab(painter.name),
  });
}

const painterOf = () => props.methods.find(({ reads }) => reads.includes('colors'))
  ?? props.methods.find(({ reads }) => reads.includes('lines'));

find('.from input').addEventListener('change', async (event) => {
  const [file] = event.target.files;
  event.target.value = '';
  if (!file) return;
  const photo = await s2i.readPhoto(file);
  if (!photo) return;
  const answer = await server.palette_of(photo).catch(() => null);
  if (!answer?.palette) return notice(answer?.sentence ?? 'The palette could not be made: try again.', { isError: true });
  hand.palette = answer.palette;
  setColor(answer.palette[0]);
});

// Return a file drawn upright on a canvas of another size; null after a sentence if it is no picture.
async function redraw(file, sizeOf) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
    const [width, height] = sizeOf(bitmap.width, bitmap.height);
    const room = Object.assign(document.createElement('canvas'), { width, height });
    const brush = room.getContext('2d');
    brush.imageSmoothingQuality = 'high';
    brush.drawImage(bitmap, 0, 0, width, height);
    return room;
  } catch {
    notice(`'${file.name}' is not a picture that this browser reads: try a PNG or JPEG.`, { isError: true });
    return null;
  }
}

// Return a file as a PNG data URL with a long side of 512 px; null after a sentence.
s2i.readPhoto = async (file) => (await redraw(file, fitSize))?.toDataURL('image/png') ?? null;

for (const [name, run] of Object.entries({
  dragover: (event) => { event.preventDefault(); find('.drop').hidden = false; },
  dragleave: () => { find('.drop').hidden = true; },
  drop: (event) => {
    event.preventDefault();
    find('.drop').hidden = true;
    if (event.dataTransfer.files[0]) s2i.start?.openPhoto(event.dataTransfer.files[0]);
  },
})) view.addEventListener(name, run);

document.addEventListener('paste', (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith('image/'));
  if (!file || !onPhoto() || isTyping(event.target)) return;
  event.preventDefault();
  openPhoto(file);
});

// ---------------------------------------------------------------- what the other parts may call

// The lines of an opened picture, whatever their paper; null after a sentence that says why not.
async function inkOf(url) {
  const answer = await server.ink_of(url).catch(() => ({ sentence: 'No connection: try it again.' }));
  if (answer.sentence) notice(answer.sentence, { isError: true });
  return answer.lines ?? null;
}

s2i.pad = {
  paintWith, dropJobs, lackOf, load, openPhoto, bringPhoto, painterOf, inkOf, useColors, stopStream, saveSoon, clearPage, repaint, paintAgain, painted, payload, payloadForAction, send, notice, showState, isEmpty, urlOf,
  get size() { return { width: sizeNow().width, height: sizeNow().height }; },
  get photo() { return photo?.url ?? null; },
  get isOnPhoto() { return onPhoto(); },
  get method() { return method; },
  hasJob: (at) => jobs.has(at),
  get seq() { return seq; },
  get settled() { return seq === shownSeq && !isDirty && !isStreaming; },
  methods: Object.values(methods),
  methodOf: (name) => methods[name],
  expect(name) { expected = name; },
  readsPhoto: (name) => Boolean(methods[name]?.reads.includes('photo')),
  sourcesOf: (name) => (methods[name]?.reads.includes('photo')
    ? { photo: photo?.id, marks: urlOf('marks') } : { lines: urlOf('lines'), colors: urlOf('colors') }),
  ghost: () => s2i.stage?.drawGhost(canvas.lines),
  setMethod(name) {
    endStroke();
    method = methods[name] ?? method;
    const missing = LAYERS.filter((layer) => !method.reads.includes(layer));
    const read = method.reads.filter((layer) => TITLES[layer]).map((layer) => TITLES[layer].toLowerCase());
    find('.ignored').textContent = missing.length
      ? read.length ? `${method.title} reads ${read.join(' and ')} only` : 'reads photos' : '';
    showSheet();
    s2i.start?.showExamples();
    s2i.stage?.showMethod(method);
    if (expected !== name) repaint();
    expected = null;
    const { past, future } = histories.photo;
    if (onPhoto() && !photo && !past.length && !future.length && isRestored) s2i.start?.openFirst();
  },
};

try {
  const theme = localStorage.getItem('s2i.theme');
  if (theme) document.body.classList.toggle('dark', theme === 'dark');
} catch { /* private */ }
setSize(LONG_SIDE_PX, LONG_SIDE_PX);
showSheet();
showState('live');
restore();
