// The start row: examples of the chosen weights, a photo, the camera, saved layers, an empty page.

const s2i = (window.s2i ??= {});
const find = (selector) => element.querySelector(selector);
const chosen = { ...props.chosen }; // method -> name of its weights
const first = { ...props.chosen };
const values = {}; // method -> control -> value, where someone chose one
const RESTORE_MS = 3000;
let photo = null, seq = 0, onChosen = () => {};

const current = () => chosen[s2i.pad?.method?.name];
const fileOf = (example, kind) => `gradio_api/file=${props.folder}/${example.weights}/${
  example.photo ?? `${example.name}.${kind}.png`}`;

function showExamples() {
  showPhotoControls();
  const isOnPhoto = s2i.pad.isOnPhoto;
  find('[data-do=camera]').hidden = !isOnPhoto;
  find('.layers').hidden = isOnPhoto;
  find('[data-do=new]').title = isOnPhoto ? 'Take the photo away (undo brings it back)'
    : 'An empty page (undo brings this one back)';
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
    for (const kind of example.photo ? ['photo'] : ['colors', 'lines']) {
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
  if (!options?.isOurs) setPhoto(null);
  if (example.photo) {
    chooseWeights(example.method, example.weights);
    return s2i.pad.openPhoto(await (await fetch(fileOf(example))).blob(), options);
  }
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

// Take a File or a data URL: a method that reads photos works on it, for the others its lines and
// colours go to the pad.
async function openPhoto(source) {
  const isUrl = typeof source === 'string';
  if (s2i.pad.isOnPhoto) {
    return s2i.pad.openPhoto(isUrl ? await (await fetch(source)).blob() : source);
  }
  const url = isUrl ? source : await s2i.readPhoto(source);
  if (!url) return;
  setPhoto(url);
  sendPhoto();
}

// Lay the lines of a photo's sketch and the photo's colours on the pad, as its first painter likes.
function sendSketch(sketch) {
  const url = s2i.pad.photo;
  if (!url) return s2i.pad.notice('The photo of this sketch was taken away: undo brings it back.');
  setPhoto(null);
  props.value = { seq: ++seq, method: s2i.pad.painterOf().name, photo: url, sketch };
  trigger('photo');
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

const actions = {
  camera: openCamera,
  shoot: takePhoto,
  leave: () => booth.close(),
  new: () => {
    setPhoto(null);
    s2i.pad.clearPage();
  },
};

element.addEventListener('click', (event) => {
  actions[event.target.closest('[data-do]')?.dataset.do]?.();
});

// ---------------------------------------------------------------- the camera

const NO_CAMERA = {
  NotAllowedError: 'The camera may not be used: allow it beside the address, or choose a photo.',
  NotFoundError: 'No camera was found: plug one in, or choose a photo.',
  NotReadableError: 'The camera is in use elsewhere: close the other program, or choose a photo.',
};
const booth = find('.booth'), live = find('.booth video');

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return s2i.pad.notice('This browser gives the camera to https and localhost only: choose a photo.', { isError: true });
  }
  try {
    live.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: 'environment', width: { ideal: 1280 }, height: { ideal: 960 } },
    });
    booth.showModal();
    await live.play();
  } catch (error) {
    booth.close();
    if (error.name === 'AbortError') return; // closed before it began
    const text = NO_CAMERA[error.name] ?? 'The camera did not start: try again, or choose a photo.';
    s2i.pad.notice(text, { isError: true });
  }
}

async function takePhoto() {
  if (!live.videoWidth) return;
  const room = new OffscreenCanvas(live.videoWidth, live.videoHeight);
  room.getContext('2d').drawImage(live, 0, 0);
  booth.close();
  await openPhoto(await room.convertToBlob({ type: 'image/jpeg', quality: 0.95 }));
}

booth.addEventListener('close', () => {
  for (const track of live.srcObject?.getTracks() ?? []) track.stop();
  live.srcObject = null;
});

// What someone sees who never was here, on the page and on a tab that reads photos.
function openFirst() {
  const example = props.examples.find((one) => one.weights === current())
    ?? props.examples.find(({ photo: name }) => Boolean(name) === s2i.pad.isOnPhoto);
  if (example) open(example, { isUndoable: false, isOurs: true }).catch(() => {}); // it can be missed
}

s2i.start = {
  openPhoto, openFirst, chooseWeights, showExamples, sendSketch, resend: sendPhoto,
  openTab: (tab, weights) => choose({ tab, weights: weights && { [tab]: weights } }),
  settingsOf: (method) => ({ weights: chosen[method], values: values[method] }),
  get settings() {
    const weights = Object.entries(chosen).filter(([method, name]) => name !== first[method]);
    return { tab: s2i.pad.method?.name, weights: Object.fromEntries(weights), values };
  },
  valueOf: (method, control) => values[method]?.[control], // what someone chose, before the tab shows it
  // The tab repaints when its control has changed.
  setControl: (method, control, value) => choose({
    weights: { [method]: chosen[method] }, values: { [method]: { [control]: value } },
  }),
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
