// The tour: five short steps, each beside what it speaks of, never over that or over the page that
// one draws on, nor, on a phone, over a button. Nothing waits for it; it comes until somebody has seen
// its end, or skipped it.

const s2i = (window.s2i ??= {});
const find = (selector) => element.querySelector(selector);
const bubble = find('.tour');
const GAP_PX = 8, EDGE_PX = 8, HEAD_PX = 4;
const STEPS = [
  [['[data-testid=pad] .layers', '[data-testid=pad] .top'],
    'Draw on Lines, dab on Colours', ': the picture follows your hand.'],
  [['[data-testid=swatches]', '[data-testid=start]'],
    'Take a colour: one dab is enough for a whole area. Leave bare what you don’t care about.'],
  [['#tabs [role=tablist]'], 'Every tab paints in its own way, all of them from the same drawing.'],
  [['[data-testid=paint-all]'], 'See your drawing by all of them at once. A click opens one in its tab.'],
  [['[data-testid=keep]', '[data-testid=paint-all]'],
    '“keep” puts a picture below, with its drawing; “save” makes a file of it. Nothing you draw is lost.'],
];
let at = -1, cameFrom = null; // the step that is shown; where the focus goes back to

const boxesOf = (selector) => [...document.querySelectorAll(selector)]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !bubble.contains(one))
  .map((one) => one.getBoundingClientRect());
const boxOf = (selector) => boxesOf(selector)[0];
const targetOf = (step) => STEPS[step][0].map(boxOf).find(Boolean);

function overlap(a, b) {
  if (!b) return 0;
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  return Math.max(0, width) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
}

// Above or below its target, where least of the picture is under it; on a phone, where buttons are
// close together, rather over the picture's edge than over one of them. False where nothing fits.
function place() {
  if (at < 0) return true;
  const target = targetOf(at), { offsetWidth: width, offsetHeight: height } = bubble;
  if (!target) return true;
  const tools = boxOf('[data-testid=pad] .tools'), isPhone = innerWidth < 700;
  const floor = (isPhone && tools ? tools.top : innerHeight) - HEAD_PX;
  const left = Math.max(EDGE_PX, Math.min(target.left - 4, innerWidth - EDGE_PX - width));
  const [pad, stage] = [boxOf('[data-testid=pad] .view'), boxOf('[data-testid=stage-view]')];
  const spots = { above: Math.max(HEAD_PX, target.top - GAP_PX - height), below: target.bottom + GAP_PX };
  if (isPhone && stage) Object.assign(spots, { low: stage.bottom - GAP_PX - height, high: stage.top + GAP_PX });
  const buttons = isPhone ? boxesOf('button') : [];
  const costs = Object.entries(spots).map(([side, top]) => {
    const box = { left, top, right: left + width, bottom: top + height };
    const isOut = target.top < 0 || top < HEAD_PX || box.bottom > floor || overlap(box, target) > 0 || overlap(box, pad) > 0;
    const isOver = buttons.some((button) => overlap(box, button) > 0);
    return { side, top, cost: (isOut ? 1e9 : 0) + (isOver ? 1e6 : 0) + overlap(box, stage) };
  });
  const best = costs.sort((a, b) => a.cost - b.cost)[0];
  bubble.dataset.side = best.side;
  bubble.style.transform = `translate(${Math.round(left)}px, ${Math.round(best.top)}px)`;
  const middle = target.left + Math.min(target.width, 90) / 2 - left;
  bubble.style.setProperty('--arrow', `${Math.round(Math.max(10, Math.min(width - 24, middle - 5)))}px`);
  return best.cost < 1e9;
}

function show(step) {
  at = step;
  bubble.hidden = false;
  const [, text, more = ''] = STEPS[at];
  find('.text').textContent = text;
  find('.more').textContent = more;
  find('.count').textContent = `${at + 1} of ${STEPS.length}`;
  find('[data-do=back]').hidden = at === 0;
  find('[data-do=skip]').hidden = at === STEPS.length - 1;
  find('[data-do=next]').textContent = at === STEPS.length - 1 ? 'done' : 'next';
  if (bubble.contains(document.activeElement) && document.activeElement.hidden) find('[data-do=next]').focus();
  if (place()) return;
  const target = targetOf(at);
  scrollBy({ top: target.top - innerHeight / 2, behavior: 'instant' });
  place();
}

function go(by) {
  if (at + by >= STEPS.length) return end();
  if (at + by >= 0) show(at + by);
}

function end() {
  const hadFocus = bubble.contains(document.activeElement);
  at = -1;
  bubble.hidden = true;
  store.put('seen', { id: 'tour', time: Date.now() });
  if (hadFocus) (cameFrom ?? document.querySelector('[data-testid=canvas-lines]'))?.focus({ preventScroll: true });
}

const actions = { next: () => go(1), back: () => go(-1), skip: end };

element.addEventListener('click', (event) => {
  actions[event.target.closest('[data-do]')?.dataset.do]?.();
});

// Only where the keys serve nothing else: in the bubble, on the pad, or nowhere in particular.
document.addEventListener('keydown', (event) => {
  const { target } = event, isHere = bubble.contains(target);
  if (at < 0 || event.defaultPrevented || !isHere && target !== document.body && target.tagName !== 'CANVAS') return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.key === 'Escape' && !isHere && s2i.all?.isOpen) return; // it closes those pictures first
  const action = { ArrowRight: actions.next, ArrowLeft: actions.back, Escape: end }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

addEventListener('resize', place);
addEventListener('scroll', place, { passive: true });
new ResizeObserver(place).observe(document.body);

s2i.tour = {
  start() {
    cameFrom = document.activeElement;
    show(0);
    find('[data-do=next]').focus({ preventScroll: true });
  },
};

async function begin() {
  const isSeen = await store.get('seen', 'tour');
  const isReady = () => s2i.pad && s2i.stage && boxOf('#stage .has-picture') && boxOf('[data-testid=canvas-lines]');
  while (!isReady()) await new Promise((done) => setTimeout(done, 100));
  if (!isSeen && at < 0) show(0);
}
begin();
