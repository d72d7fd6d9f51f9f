// The start row: examples of the chosen weights, a photo, saved layers, an empty page.

const s2i = (window.s2i ??= {});
const find = (selector) => element.querySelector(selector);
const chosen = { ...props.chosen }; // method -> name of its weights
const first = { ...props.chosen };
const values = {}; // method -> control -> value, where someone chose one
const RESTORE_MS = 3000;
let photo = null, seq = 0, onChosen = () => {};

const current = () => chosen[s2i.pad?.method?.name];
const fileOf = (example, kind) => `gradio_api/file=${props.folder}/${example.weights}/${example.name}.${kind}.png`;

function showExamples() {
  showPhotoControls();
  const box = find('.examples'), weights = current();
  const own = props.examples.filter((example) => example.weights === weights);
  if (box.dataset.weights === weights) return;
  box.dataset.weights = weights;
  box.replaceChildren(...own.map((example) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.title = `Start from the example “${example.name.replace(/[-_]/g, ' ')}”`;
    button.setAttribute('aria-label', button.title);
    button.dataset.testid = 'example';
    for (const kind of ['colors', 'lines']) {
      const picture = new Image();
      picture.src = fileOf(example, kind);
      picture.alt = '';
      picture.className = kind;
      button.append(picture);
    }
    button.addEventListener('click', () => open(example));
    return button;
  }));
}

async function open(example, options) {
  setPhoto(null);
  chooseWeights(example.method, example.weights);
  await s2i.pad.load({ lines: fileOf(example, 'lines'), colors: fileOf(example, 'colors') }, options);
}

function chooseWeights(method, weights) {
  if (chosen[method] !== weights) choose({ weights: { [method]: weights } });
}

function choose(settings) {
  props.value = { seq: ++seq, ...settings };
  trigger('choose');
}

watch('chosen', () => { // a tab that was not opened yet says nothing itself
  Object.assign(chosen, props.chosen);
  showExamples();
});

function setPhoto(url) {
  photo = url;
  showPhotoControls();
}

// The settings of "start from a photo" are there while a photo is, those of the visible method.
function showPhotoControls() {
  const own = `start-of-${s2i.pad.method?.name}`;
  for (const row of document.querySelectorAll('.start-of')) {
    row.classList.toggle('is-on', Boolean(photo) && row.classList.contains(own));
  }
}

function sendPhoto() {
  if (!photo) return;
  props.value = { seq: ++seq, method: s2i.pad.method.name, photo };
  trigger('photo');
}

// Take a File or a data URL, lay its lines and colours on the pad.
async function openPhoto(source) {
  const url = typeof source === 'string' ? source : await s2i.readPhoto(source);
  if (!url) return;
  setPhoto(url);
  if (s2i.pad.method.reads.includes('photo')) s2i.pad.repaint();
  else sendPhoto();
}

// Which of the two layers a file holds: by its name, else by whether it has any colour.
async function kindOf(file) {
  if (/lines/i.test(file.name)) return 'lines';
  if (/colou?rs/i.test(file.name)) return 'colors';
  const bitmap = await createImageBitmap(file);
  const room = new OffscreenCanvas(64, 64).getContext('2d');
  room.drawImage(bitmap, 0, 0, 64, 64);
  const { data } = room.getImageData(0, 0, 64, 64);
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.subarray(i, i + 4);
    if (a > 127 && Math.max(r, g, b) - Math.min(r, g, b) > 24) return 'colors';
  }
  return 'lines';
}

async function openLayers(files) {
  const layers = {};
  for (const file of files) {
    const url = await s2i.readPhoto(file), kind = url && await kindOf(file);
    const given = kind === 'lines' ? await s2i.pad.inkOf(url) : url;
    if (given) layers[kind] = given;
  }
  if (Object.keys(layers).length) {
    setPhoto(null);
    await s2i.pad.load(layers);
  }
}

element.addEventListener('change', (event) => {
  const files = [...(event.target.files ?? [])];
  event.target.value = '';
  if (!files.length) return;
  if (event.target.dataset.testid === 'photo-file') openPhoto(files[0]);
  else openLayers(files);
});

element.addEventListener('click', (event) => {
  if (!event.target.closest('[data-do=new]')) return;
  setPhoto(null);
  s2i.pad.clearPage();
});

function openFirst() {
  const example = props.examples.find((one) => one.weights === current()) ?? props.examples[0];
  if (example) open(example, { isUndoable: false });
}

s2i.start = {
  openPhoto, openFirst, chooseWeights, showExamples, resend: sendPhoto,
  get photo() { return photo; },
  get weights() { return current(); },
  get settings() {
    const weights = Object.entries(chosen).filter(([method, name]) => name !== first[method]);
    return { tab: s2i.pad.method?.name, weights: Object.fromEntries(weights), values };
  },
  // Resolves when the tabs show these settings; without a server after a while.
  restore(settings) {
    Object.assign(values, settings.values);
    return new Promise((resolve) => {
      onChosen = resolve;
      setTimeout(resolve, RESTORE_MS);
      choose(settings);
    });
  },
  restored: () => onChosen(),
  setWeights(method, weights) {
    chosen[method] = weights;
    showExamples();
    s2i.pad?.saveSoon();
    s2i.pad?.repaint();
  },
  setValue(method, control, value) {
    (values[method] ??= {})[control] = value;
    s2i.pad?.saveSoon();
    s2i.pad?.repaint();
  },
};
function begin() {
  if (!s2i.pad) return setTimeout(begin, 20);
  showExamples();
}
begin();
