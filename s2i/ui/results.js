// The stage: shows the newest picture, keeps the older one while the next is on its way.

const s2i = (window.s2i ??= {});
const find = (selector) => element.querySelector(selector);
const frame = find('.frame'), ghost = find('.ghost'), strip = find('.strip');
let shown = null; // the last result with a picture
let newest = null; // what the server said last, an error perhaps
let isGhostOn = false, isStripKept = false, isLookKept = false;
const REPLAY_MS = 4000, CAPTION_PX = 26;

function download(href, name) {
  const link = document.createElement('a');
  link.href = href;
  link.download = name;
  link.click();
}

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
const nameOf = (result = shown) => `${(result?.name ?? 's2i').replace(/[^\w-]+/g, '-')}-${stamp()}`;
const aboutIn = (result, i = 0) => result?.abouts?.[i] ?? result?.about;
const aboutOf = (i = selected) => aboutIn(shown, i);

let wanted = null;

async function put(source) {
  const next = wanted = new Image();
  next.src = source;
  next.alt = aboutOf() ? `The picture: ${aboutOf()}` : 'The picture';
  next.draggable = false;
  next.dataset.testid = 'picture';
  await next.decode();
  if (next === wanted) frame.querySelector('img').replaceWith(next);
}

watch('shown', () => {
  if (s2i.pad?.hasJob(props.shown?.seq)) s2i.pad.painted(props.shown); // it is not for the stage
  else if (props.shown) present(props.shown);
});

async function present(result) {
  const isNewest = !shown || !result.seq || !shown.seq || result.seq >= shown.seq;
  // A stream that ends after something newer has come must be known to have ended.
  if (!isNewest) return result.stream === undefined || s2i.pad?.painted(result);
  if (result.is_stream) return s2i.pad?.painted(result);
  newest = result;
  if (!result.picture) {
    element.classList.add('has-error');
    find('.sentence').textContent = result.sentence ?? '';
    showProgress({});
    s2i.pad?.painted(result);
    return;
  }
  const isStripNew = !isStripKept || result.pictures;
  if (isStripNew) showStrip(result, { isSame: shown?.name === result.name });
  isStripKept = false;
  shown = result;
  endReplay();
  element.classList.toggle('has-strokes', Boolean(result.svg));
  find('[data-do=replay]').hidden = !result.svg;
  find('[data-do=send]').title = s2i.pad?.readsPhoto(result.method) ? "The sketch goes to the pad's Lines, the photo's colours to Colours"
    : 'Start from this picture: its lines and colours go to the pad';
  await put(isStripNew && items[selected]?.source || result.picture);
  if (shown !== result) return result.more || s2i.pad?.painted({ seq: result.seq, stream: result.stream });
  find('.facts').textContent = result.guesses ? '' : result.facts ?? '';
  showGuesses(result);
  showVarying(result);
  showCurve(result.curve ?? []);
  element.classList.add('has-picture');
  if (newest !== result) return; // an error came while the picture was decoded
  element.classList.remove('has-error');
  find('.sentence').textContent = result.sentence ?? '';
  showProgress(result);
  s2i.pad?.painted(result);
}

function showProgress({ more, progress }) {
  const bar = find('.progress'), share = 100 * Math.min(1, Math.max(0, progress ?? 0));
  bar.hidden = !more || progress === undefined;
  bar.setAttribute('aria-valuenow', Math.round(share));
  bar.firstElementChild.style.width = `${share}%`;
}

// A search's loss from its start to now.
function showCurve(losses) {
  const chart = find('.curve'), low = Math.min(...losses), span = Math.max(...losses) - low || 1;
  chart.hidden = losses.length < 2;
  if (chart.hidden) return;
  const steps = losses.length - 1, [from, to] = chart.querySelectorAll('span');
  const spots = losses.map((loss, i) => `${100 * i / steps},${20 - 20 * (loss - low) / span}`);
  chart.querySelector('polyline').setAttribute('points', spots.join(' '));
  from.textContent = toShort(losses[0]);
  to.textContent = toShort(losses.at(-1));
  chart.setAttribute('aria-label', `loss: ${from.textContent} to ${to.textContent} over ${steps} steps`);
}

const toShort = (number) => number.toFixed(Math.abs(number) < 10 ? 3 : 1);

// Take the colours that gave a picture; the others stay beside it, to be tried too.
function useColors(layer) {
  isStripKept = true;
  s2i.pad.useColors(layer);
}

// What the method took the drawing for; one click says what it is.
function showGuesses({ guesses = [], method }) {
  const list = find('.guesses'), { label } = s2i.pad?.methodOf(method) ?? {};
  list.hidden = !guesses.length;
  list.replaceChildren(guesses.length ? 'guessed' : '', ...guesses.flatMap(([name, share]) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = `${name} ${Math.round(100 * share)} %`;
    button.title = `Take ${name}`;
    button.disabled = !label;
    button.addEventListener('click', () => s2i.start.setControl(method, label, name));
    return [' ', button];
  }));
}

// One picture's seed is locked, all others are like it.
function showVarying({ locked }) {
  find('.varying').hidden = locked === undefined;
  find('.varying span').textContent = `varying seed ${locked}`;
}

const unlockedOf = (method) => s2i.pad?.methodOf(method)?.unlocked ?? null;
function vary(seed) {
  strip.children[selected]?.firstElementChild.focus({ preventScroll: true }); // the button goes away
  s2i.start.setControl(shown.method, 'locked', seed);
}

const kindOf = (source) => source.slice(11, source.indexOf(';')); // png, jpeg, gif
let items = [], selected = 0; // of the strip, and which of them is on the stage

// The strip of one stream is renewed in place: whoever looks at its third picture goes on doing so.
// Pictures with seeds of their own are a grid, until somebody looks at one of them.
function showStrip({ pictures = [], captions = [], colors = [], seeds = [], gif, method, locked }, { isSame }) {
  strip.hidden = pictures.length < 2 && !gif && !colors.length;
  const next = strip.hidden ? [] : pictures.map((source, i) => (
    { source, caption: captions[i] ?? `picture ${i + 1}`, colors: colors[i], seed: seeds[i] }));
  if (gif) next.push({ source: gif, caption: 'animation' });
  if (!isSame || selected >= next.length) selected = 0;
  const isRenewed = next.length === items.length
    && next.every((item, i) => !item.colors === !items[i].colors && isSown(item) === isSown(items[i]));
  items = next;
  if (!isRenewed) strip.replaceChildren(...items.map((_, i) => makeFigure(i)));
  items.forEach(({ source, caption, seed }, i) => {
    const [button, save, other] = strip.children[i].querySelectorAll('button');
    const picture = button.firstElementChild;
    [picture.src, picture.alt, button.title] = [source, caption, caption];
    save.title = `Save: ${caption}`;
    save.setAttribute('aria-label', save.title);
    if (seed === undefined) return other?.setAttribute('aria-label', `Use these colours: ${caption}`);
    strip.children[i].querySelector('.number').textContent = seed;
    const isLocked = seed === locked;
    other.disabled = isLocked;
    other.title = isLocked ? 'all others are like this one' : locked === undefined ? 'more like this one'
      : `vary seed ${seed} itself, instead of ${locked}`;
    other.textContent = isLocked ? 'varied' : 'vary';
    other.setAttribute('aria-label', isLocked ? `Seed ${seed} is varied` : `Vary seed ${seed}: ${other.title}`);
  });
  const isGrid = items.some(isSown);
  element.classList.toggle('has-grid', isGrid);
  element.classList.toggle('can-vary', isGrid && unlockedOf(method) !== null);
  if (!isRenewed) showGrid(isGrid && !isLookKept);
  isLookKept = false;
  arrange(strip, CAPTION_PX);
  showSelected();
}

// The pictures of a grid get as large as the room allows.
function arrange(grid, captionPx) {
  const { clientWidth: width, clientHeight: height } = find('.view'), count = grid.children.length;
  const rowsOf = (columns) => Math.ceil(count / columns);
  const sideOf = (columns) => Math.min(width / columns, height / rowsOf(columns) - captionPx);
  let best = 1;
  for (let columns = 2; columns <= count; columns++) if (sideOf(columns) > sideOf(best)) best = columns;
  grid.style.setProperty('--columns', best);
  grid.style.setProperty('--rows', rowsOf(best));
}
new ResizeObserver(() => arrange(strip, CAPTION_PX)).observe(find('.view'));

const isSown = (item) => item.seed !== undefined;

function showGrid(isOn) {
  element.classList.toggle('is-grid', isOn);
}

function showSelected() {
  [...strip.children].forEach((item, i) => {
    item.firstElementChild.setAttribute('aria-pressed', i === selected);
  });
}

function makeFigure(i) {
  const item = document.createElement('figure');
  const add = (className, run) => {
    const button = document.createElement('button');
    Object.assign(button, { type: 'button', className });
    button.addEventListener('click', run);
    item.append(button);
    return button;
  };
  add('look', () => {
    selected = i;
    showSelected();
    endReplay();
    put(items[i].source);
    showGrid(false);
  }).append(new Image());
  add('get', () => download(items[i].source, `${nameOf()}${markOf(i)}`)).textContent = '↓';
  if (isSown(items[i])) {
    const caption = document.createElement('figcaption'), number = document.createElement('span');
    number.className = 'number';
    caption.append('seed ', number);
    item.append(caption);
    add('vary', () => vary(items[i].seed));
  }
  if (items[i].colors) add('use', () => useColors(items[i].colors)).textContent = 'Use these colours';
  return item;
}

const markOf = (i) => (isSown(items[i]) ? `-seed-${items[i].seed}` : `-${i + 1}`) + `.${kindOf(items[i].source)}`;

// All pictures, and in words what each of them is.
function saveEach() {
  const name = nameOf(), files = items.map((item, i) => [`${name}${markOf(i)}`, item.source]);
  const captions = files.map(([file], i) => `${file}\t${aboutOf(i) ?? ''}\n`).join('');
  s2i.session.saveZip([...files, ['captions.txt', captions]], `${name}.zip`);
}

async function saveLayer(name) {
  let source = s2i.pad.urlOf(name);
  if (name === 'lines') {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    const room = document.createElement('canvas');
    [room.width, room.height] = [picture.naturalWidth, picture.naturalHeight];
    const brush = room.getContext('2d');
    brush.fillStyle = '#fff';
    brush.fillRect(0, 0, room.width, room.height);
    brush.drawImage(picture, 0, 0);
    source = room.toDataURL('image/png');
  }
  download(source, `drawing-${stamp()}.${name}.png`);
}

// ---------------------------------------------------------------- a sketch, drawn again

let replay = null; // {ends, strokes, far, isRunning, time}

// Every stroke takes as long as it is; `far` is the share of all that is drawn.
function openReplay() {
  const svg = new DOMParser().parseFromString(shown.svg, 'image/svg+xml').documentElement;
  const strokes = [...svg.querySelectorAll('path')];
  svg.removeAttribute('width');
  svg.removeAttribute('height');
  find('.replay').replaceChildren(svg);
  find('.replay').hidden = find('.far').hidden = false;
  let end = 0;
  const ends = strokes.map((stroke) => {
    const length = Math.max(1, stroke.getTotalLength());
    stroke.dataset.length = length;
    stroke.style.visibility = 'hidden';
    return end += length;
  });
  replay = { strokes, ends, far: 0, drawn: 0, isRunning: false };
}

function showFar(far) {
  const { strokes, ends } = replay, at = far * (ends.at(-1) ?? 0);
  let now = ends.findIndex((end) => end > at);
  if (now < 0) now = strokes.length;
  for (let i = Math.min(now, replay.drawn); i < Math.min(strokes.length, Math.max(now, replay.drawn) + 1); i++) {
    const { style, dataset } = strokes[i], length = +dataset.length;
    const left = Math.min(length, Math.max(0, ends[i] - at));
    style.visibility = left < length ? '' : 'hidden';
    style.strokeDasharray = left ? `${length} ${length + 9}` : 'none';
    style.strokeDashoffset = left;
  }
  Object.assign(replay, { far, drawn: now });
  find('.far').value = far;
}

function runReplay(time) {
  if (!replay?.isRunning) return;
  const far = Math.min(1, replay.far + (time - (replay.time ?? time)) / REPLAY_MS);
  replay.time = time;
  showFar(far);
  if (far < 1) return requestAnimationFrame(runReplay);
  setRunning(false);
}

function setRunning(isRunning) {
  replay.isRunning = isRunning;
  replay.time = undefined;
  element.classList.toggle('is-drawing', isRunning);
  find('[data-do=replay]').textContent = isRunning ? 'pause' : replay.far < 1 ? 'go on' : 'replay';
  if (isRunning) requestAnimationFrame(runReplay);
}

function playOrPause() {
  if (!shown?.svg) return;
  if (!replay) openReplay();
  else if (replay.far >= 1) showFar(0);
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) return setRunning(!replay.isRunning);
  showFar(1); // the slider shows how it grew, without anything that moves by itself
  setRunning(false);
}

function endReplay() {
  replay = null;
  element.classList.remove('is-drawing');
  find('.replay').hidden = find('.far').hidden = true;
  find('.replay').replaceChildren();
  find('[data-do=replay]').textContent = 'replay';
}

find('.far').addEventListener('input', (event) => {
  if (!replay) return;
  if (replay.isRunning) setRunning(false);
  showFar(+event.target.value);
  setRunning(false);
});

async function saveGif() {
  const { npz } = shown, name = `${nameOf()}.gif`;
  s2i.pad.notice('The GIF is being made…');
  const answer = await server.gif_of(npz).catch(() => ({ sentence: 'No connection: try it again.' }));
  if (answer.sentence) return s2i.pad.notice(answer.sentence, { isError: true });
  s2i.pad.notice('The GIF is saved.', { seconds: 4 });
  download(answer.gif, name);
}

function saveSvg() {
  const href = URL.createObjectURL(new Blob([shown.svg], { type: 'image/svg+xml' }));
  download(href, `${nameOf()}.svg`);
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

const keepResult = (result, picture, i = 0) => s2i.session?.keep({
  picture, ...s2i.pad.sourcesOf(result.method), about: aboutIn(result, i), weights: result.weights,
  method: result.method, name: nameOf(result),
});

const current = () => (element.classList.contains('has-picture') ? frame.querySelector('img').src : null);

const actions = {
  paint: () => s2i.pad?.paintAgain(),
  keep: () => current() && keepResult(shown, current(), selected),
  stop: () => s2i.pad?.stopStream(),
  save: () => current() && download(current(), nameOf() + (items[selected]?.seed === undefined
    ? `.${kindOf(current())}` : markOf(selected))),
  saveEach: () => items.length && saveEach(),
  saveAll: () => saveAllCells(),
  grid: () => {
    showGrid(true);
    strip.children[selected].firstElementChild.focus();
  },
  vary: () => items[selected] && vary(items[selected].seed),
  unlock: () => vary(unlockedOf(shown.method)),
  saveLines: () => saveLayer('lines'),
  saveColors: () => saveLayer('colors'),
  saveSvg: () => shown?.svg && saveSvg(),
  saveNpz: () => shown?.npz && download(shown.npz, `${nameOf()}.npz`),
  saveGif: () => shown?.npz && saveGif(),
  replay: playOrPause,
  send: () => {
    if (s2i.pad.readsPhoto(shown?.method)) s2i.start?.sendSketch(shown.picture);
    else if (current()) s2i.start?.openPhoto(current());
  },
  ghost: () => {
    isGhostOn = !isGhostOn;
    find('[data-do=ghost]').setAttribute('aria-pressed', isGhostOn);
    ghost.hidden = !isGhostOn;
    s2i.pad?.ghost();
  },
};

element.addEventListener('click', (event) => {
  actions[event.target.closest('[data-do]')?.dataset.do]?.();
  if (!event.target.closest('summary')) find('.menu').open = false;
});

element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && element.classList.contains('has-grid') && !s2i.all.isOpen) actions.grid();
});

s2i.download = download;
s2i.stage = {
  save: () => (s2i.all.isOpen ? s2i.all : actions).save(),
  drawGhost(lines) {
    if (!isGhostOn) return;
    [ghost.width, ghost.height] = [lines.width, lines.height];
    ghost.getContext('2d').drawImage(lines, 0, 0);
  },
  colorAt(x, y) { // shares of the picture's width and height -> HEX
    const picture = frame.querySelector('img');
    if (!current()) return null;
    const room = new OffscreenCanvas(1, 1).getContext('2d');
    const { naturalWidth: w, naturalHeight: h } = picture;
    room.drawImage(picture, Math.floor(x * w), Math.floor(y * h), 1, 1, 0, 0, 1, 1);
    const [r, g, b] = room.getImageData(0, 0, 1, 1).data;
    return '#' + ((1 << 24) | (r << 16) | (g << 8) | b).toString(16).slice(1);
  },
  showRunning(isRunning) {
    find('[data-do=stop]').hidden = !isRunning;
    if (!isRunning) showProgress({});
  },
  showMethod(method) {
    find('[data-do=paint]').hidden = method.live;
    element.classList.toggle('on-photo', method.reads.includes('photo'));
    find('.hint').textContent = method.live ? '' : 'Press Enter to paint.';
  },
};
if (s2i.pad?.method) s2i.stage.showMethod(s2i.pad.method);
