// Paint with all: the drawing by every method that can read it, a cell each. They are painted one
// after the other, cheap ones first; what was painted of the same drawing is not painted again.

const board = find('.all'), told = find('.told'), toggleAll = find('[data-do=all]');
const WORDS_PX = 42;
const cells = new Map(); // name of the method -> {figure, result, key}
let isAllOpen = false, runNow = 0, isAllRunning = false;

const keyOf = (name) => JSON.stringify([s2i.pad.sourcesOf(name), s2i.start.settingsOf(name)]);
const weightsOf = (name) => (s2i.start.settingsOf(name).weights ?? '').replace(/^[^.]*\./, '');
const costOf = ({ ms, is_slow: isSlow }) => ms ?? (isSlow ? 9999 : 99);

async function paintAll() {
  const run = ++runNow, methods = s2i.pad.methods;
  s2i.pad.stopStream();
  showAll(true);
  board.replaceChildren(...methods.map(({ name }) => makeCell(name).figure));
  arrange(board, WORDS_PX);
  board.scrollTop = 0;
  const able = methods.filter((one) => !showLack(one)), key = {};
  for (const { name } of able) {
    key[name] = keyOf(name);
    if (cells.get(name).key === key[name]) showCell(name, cells.get(name).result);
  }
  const left = able.filter(({ name }) => cells.get(name).key !== key[name]);
  isAllRunning = true;
  s2i.pad.showState('busy');
  for (const [i, { name }] of left.sort((a, b) => costOf(a) - costOf(b)).entries()) {
    told.textContent = `painting ${i + 1} of ${left.length} · Esc stops`;
    cells.get(name).figure.classList.add('is-busy');
    const result = await s2i.pad.paintWith(name, (passing) => run === runNow && showCell(name, passing));
    if (run !== runNow) return;
    if (result.picture) cells.get(name).key = key[name];
    showCell(name, result);
  }
  isAllRunning = false;
  s2i.pad.showState('live');
  const count = board.querySelectorAll('.has-picture').length;
  told.textContent = count ? 'a click opens a picture in its tab' : 'nothing could be painted';
  find('[data-do=saveAll]').hidden = !count;
}

function closeAll() {
  if (!isAllOpen) return;
  runNow += 1;
  if (isAllRunning) s2i.pad.dropJobs();
  isAllRunning = false;
  if (board.contains(document.activeElement)) toggleAll.focus({ preventScroll: true });
  showAll(false);
}

function showAll(isOn) {
  isAllOpen = isOn;
  told.textContent = '';
  find('[data-do=saveAll]').hidden = true;
  element.classList.toggle('is-all', isOn);
  toggleAll.setAttribute('aria-pressed', isOn);
  board.hidden = !isOn;
}

function makeCell(name) {
  const cell = cells.get(name) ?? {}, { title } = s2i.pad.methodOf(name);
  const figure = document.createElement('figure');
  figure.dataset.testid = 'all-cell';
  figure.dataset.method = name;
  figure.innerHTML = `<button type="button" class="look" data-testid="all-open"><img alt=""><span class="say"></span></button>
    <figcaption><span><b></b> <i></i></span><span class="ms"></span></figcaption>
    <button type="button" class="keep" data-testid="all-keep">keep</button>`;
  const [open, keep] = figure.querySelectorAll('button');
  open.title = `Open it in ${title}`;
  open.setAttribute('aria-label', `Open ${title}`);
  keep.title = `Keep this picture of ${title} in the session below`;
  keep.setAttribute('aria-label', `Keep the picture of ${title}`);
  open.addEventListener('click', () => openCell(name));
  keep.addEventListener('click', () => keepResult(cells.get(name).result, cells.get(name).result.picture));
  figure.querySelector('b').textContent = title;
  figure.querySelector('.ms').textContent = weightsOf(name);
  cells.set(name, { ...cell, figure });
  return cells.get(name);
}

function showLack(one) {
  const lack = s2i.pad.lackOf(one);
  if (lack) showCell(one.name, { sentence: `${one.title} ${lack}` });
  return lack;
}

// The older picture of a cell stays while a stream goes on; a sentence takes its place.
function showCell(name, result) {
  const cell = cells.get(name), { figure } = cell;
  const [guess] = result.guesses?.[0] ?? [], picture = figure.querySelector('img');
  Object.assign(cell, { result });
  figure.classList.toggle('is-busy', Boolean(result.more));
  figure.classList.toggle('has-picture', Boolean(result.picture));
  figure.querySelector('.say').textContent = result.sentence ?? '';
  figure.querySelector('i').textContent = guess ? `guessed ${guess}` : '';
  if (!result.picture) return;
  figure.querySelector('.ms').textContent = `${result.ms} ms · ${weightsOf(name)}`;
  picture.src = result.picture;
  picture.alt = aboutIn(result);
  picture.title = aboutIn(result);
}

// The picture is in its tab at once. Where it is one of several, the others come; it stays in view.
function openCell(name) {
  const { result } = cells.get(name), isThere = s2i.pad.method.name === name;
  const isWhole = result?.picture && !result.more && !result.is_part;
  closeAll();
  if (result?.picture && !result.more) present({ ...result, seq: undefined, stream: undefined });
  isLookKept = Boolean(result?.is_part);
  if (isWhole) s2i.pad.expect(name);
  if (!isThere) s2i.start.openTab(name);
  else if (!isWhole) s2i.pad.repaint();
}

function saveAllCells() {
  const done = [...cells.values()].map(({ result }) => result).filter((result) => result?.picture && !result.more);
  const files = done.map((result) => [`${nameOf(result)}.png`, result.picture]);
  const captions = files.map(([file], i) => `${file}\t${aboutIn(done[i])}\t${done[i].ms} ms\n`).join('');
  if (files.length) s2i.session.saveZip([...files, ['captions.txt', captions]], `${nameOf({ name: 'all' })}.zip`);
}

new ResizeObserver(() => arrange(board, WORDS_PX)).observe(find('.view'));
toggleAll.addEventListener('click', () => s2i.all.toggle());

s2i.all = {
  toggle: () => (isAllOpen ? closeAll() : paintAll()),
  close: closeAll,
  save: saveAllCells,
  get isOpen() { return isAllOpen; },
  get isRunning() { return isAllRunning; },
};
