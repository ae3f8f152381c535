// What pages do beyond what a form can: rows of the editor, copying, traffic that moves.
// Everything that comes from people is text: it is never parsed as HTML.

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** Gives a row of a list its number, in names, ids and words. */
function number(row, side, n) {
  const old = row.dataset.number;
  row.dataset.number = n;
  const from = `${side}.${old}.`, to = `${side}.${n}.`;
  for (const element of all("[name],[id],[for],[aria-describedby]", row)) {
    for (const name of ["name", "id", "for", "aria-describedby"]) {
      const value = element.getAttribute(name);
      if (value?.startsWith(from)) element.setAttribute(name, to + value.slice(from.length));
    }
  }
  for (const nth of all(".nth", row)) nth.textContent = n;
  const remove = one("[data-remove]", row);
  remove.value = `drop-${side}.${n}`;
  remove.setAttribute("aria-label", remove.getAttribute("aria-label").replace(/\d+$/, n));
}

function renumber(rows) {
  [...rows.children].forEach((row, at) => number(row, rows.dataset.rows, at + 1));
}

/** A type fills protocol and ports, and greys what it settles. */
function settle(select) {
  const row = select.closest(".row");
  const option = select.selectedOptions[0];
  const protocol = one(".field.protocol input", row), ports = one(".field.ports input", row);
  const wasSettled = ports.readOnly;
  const custom = { "Custom TCP": "TCP", "Custom UDP": "UDP", "Custom ICMP - IPv4": "ICMP", "Custom ICMP - IPv6": "ICMPv6", "Custom Protocol": "" };
  if (option.dataset.protocol) {
    protocol.value = option.dataset.protocol;
    ports.value = option.dataset.ports;
  } else {
    protocol.value = custom[select.value];
    if (select.value === "Custom Protocol") ports.value = "all";
    else if (wasSettled) ports.value = "";
  }
  protocol.readOnly = select.value !== "Custom Protocol";
  ports.readOnly = Boolean(option.dataset.protocol) || select.value === "Custom Protocol";
  ports.placeholder = select.value.startsWith("Custom ICMP") ? "all, 8 or 3/4" : "443 or 8000-8100";
}

/** A kind of source fills the source. */
function origin(select) {
  const source = one(".field.source input", select.closest(".row"));
  const mine = select.form.dataset.mine;
  const values = { any4: "0.0.0.0/0", any6: "::/0", mine: mine && mine + (mine.includes(":") ? "/128" : "/32") };
  const wasFilled = source.readOnly;
  if (values[select.value]) source.value = values[select.value];
  else if (wasFilled) source.value = "";
  source.readOnly = select.value !== "custom";
  known(source);
}

/** Says by name which groups and lists a source means. */
function known(source) {
  const place = one("[data-known]", source.closest(".field"));
  const options = new Map(all("#sources option").map((option) => [option.value, option.textContent]));
  const names = source.value.split(/[\s,]+/).map((word) => options.get(word)).filter(Boolean);
  place.textContent = names.join(", ");
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-type]")) settle(event.target);
  if (event.target.matches("[data-origin]")) origin(event.target);
});

document.addEventListener("input", (event) => {
  if (event.target.matches(".field.source input")) known(event.target);
  if (event.target.matches("[data-count]")) count(event.target);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.add) {
    event.preventDefault();
    const side = button.dataset.add;
    const rows = one(`[data-rows="${side}"]`);
    const row = one(`template[data-row="${side}"]`).content.firstElementChild.cloneNode(true);
    rows.append(row);
    number(row, side, rows.children.length);
    one("select, input:not([type=hidden])", row).focus();
  } else if ("remove" in button.dataset) {
    event.preventDefault();
    const row = button.closest(".row"), rows = row.parentElement;
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    renumber(rows);
    (next ? one("[data-remove]", next) : one(`[data-add="${rows.dataset.rows}"]`)).focus();
  } else if (button.dataset.copy) {
    navigator.clipboard.writeText(button.dataset.copy).then(() => {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
});

/** How much of a field is used. */
function count(input) {
  let place = one(".tally", input.parentElement);
  if (!place) {
    place = document.createElement("span");
    place.className = "tally";
    input.after(place);
  }
  place.textContent = `${[...input.value].length} of ${input.maxLength}`;
}

if (navigator.clipboard) all("[data-copy]").forEach((button) => { button.hidden = false; });
all("[data-count]").forEach(count);
all(".rows .field.source input").forEach(known);
const first = one("[data-focus]");
if (first) {
  first.focus();
  first.scrollIntoView({ block: "nearest" });
}
// Where the head is too narrow for all places, this one is in sight.
for (const place of all(".top [aria-current], .tabs [aria-current]")) {
  const list = place.closest("nav, ul");
  const box = list.scrollWidth > list.clientWidth ? list : place.closest("ul");
  box.scrollLeft = place.offsetLeft - box.offsetLeft - (box.clientWidth - place.offsetWidth) / 2;
}
// A page that says what was done says it once.
if (location.search.includes("done=")) {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}

/** An element with a class and a text. */
function made(name, kind, text) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.textContent = text;
  return element;
}

/** Verdicts as they fall: a table that grows at its top. */
function verdicts(section) {
  const most = 200;
  const lines = one("[data-lines]", section), said = one("[data-said]", section), which = one("[data-which]", section);
  const none = one("[data-none]", section), log = one("[data-log]", section), text = one("#q");
  let source, latest = 0, count = 0, skipped = 0, state = "", timer;

  /** Says how it stands; not for each line, for somebody may be listening. */
  const say = (now = false) => {
    if (timer && !now) return;
    clearTimeout(timer);
    const numbers = [count && `${count} shown`, skipped && `${skipped} skipped`].filter(Boolean).join(", ");
    said.textContent = [state, numbers].filter(Boolean).join(" · ");
    timer = setTimeout(() => { timer = undefined; }, 2000);
  };
  const be = (next) => {
    if (state === next) return;
    state = next;
    none.textContent = next === "Live" ? "No verdict has been logged yet." : "Verdicts are shown while the agent runs.";
    say(true);
  };
  const sift = (row) => {
    const wanted = text.value.trim().toLowerCase();
    row.hidden = !row.dataset.text.includes(wanted) || Boolean(which.value && which.value !== row.dataset.verdict);
  };
  const cell = (...children) => {
    const td = document.createElement("td");
    td.append(...children);
    return td;
  };
  const show = (line) => {
    const row = document.createElement("tr");
    const [kind, word] = line.passes ? ["done", "✓ allow"] : line.audited ? ["never", "✕ would deny"] : ["gone", "✕ deny"];
    const reason = made("th", "", line.reason);
    reason.scope = "row";
    const group = made(line.group_id ? "a" : "span", "", line.group);
    if (line.group_id) group.href = `/groups/${line.group_id}`;
    const why = made("a", "", "Why?");
    if (line.why) why.href = line.why;
    why.hidden = !line.why;
    row.append(cell(made("code", "", line.time)), cell(made("span", `badge ${kind}`, word)), reason, cell(line.protocol),
      cell(made("code", "", line.source)), cell(made("code", "", line.destination)), cell(`${line.interface} ${line.direction}`),
      cell(group), cell(why));
    row.dataset.verdict = line.passes ? "allow" : "deny";
    row.dataset.text = row.textContent.toLowerCase();
    sift(row);
    lines.prepend(row);
    while (lines.children.length > most) lines.lastElementChild.remove();
    count += 1;
    none.hidden = true;
    log.hidden = false;
  };
  const open = () => {
    source = new EventSource(`/traffic/events?after=${latest}`);
    source.addEventListener("ready", () => be("Live"));
    source.addEventListener("verdict", (event) => {
      latest = event.lastEventId;
      show(JSON.parse(event.data));
      say();
    });
    source.addEventListener("skipped", (event) => {
      skipped += Number(event.data);
      say();
    });
    source.addEventListener("absent", () => {
      be("No agent runs");
    });
    source.addEventListener("error", () => {
      if (state === "Live") be("Interrupted; trying again");
      // Closed for good: an answer that is no stream. The page's own question finds out why.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (state !== "Paused") open(); }, 2000);
    });
  };
  which.addEventListener("change", () => [...lines.children].forEach(sift));
  text.addEventListener("input", () => [...lines.children].forEach(sift));
  open();
  return (isPaused) => {
    source.close();
    if (isPaused) be("Paused");
    else open();
  };
}

const streamed = one("[data-stream]");
const pauseStream = streamed ? verdicts(streamed) : () => {};

/** Traffic: the page is asked again; a lost host is said so, and asked on. */
const polled = one("[data-poll]");
if (polled) {
  const live = one("[data-live]"), pause = one("[data-pause]");
  let isPaused = false, wasLost = false;
  pause.hidden = false;
  live.textContent = "Live";
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", isPaused);
    pause.textContent = isPaused ? "Go on" : "Pause";
    live.textContent = isPaused ? "Paused" : "Live";
    pauseStream(isPaused);
  });
  const ask = async () => {
    if (!isPaused && !document.hidden) {
      try {
        const answer = await fetch(location.href, { credentials: "same-origin", headers: { "x-sg-asked": "1" } });
        if (answer.redirected) {
          live.textContent = "Your session has ended: sign in again";
          return;
        }
        if (!answer.ok) throw new Error(answer.statusText);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (!isPaused) polled.replaceChildren(...one("[data-poll]", page).childNodes);
        if (wasLost) live.textContent = "Live again";
        wasLost = false;
      } catch {
        wasLost = true;
        live.textContent = "The host does not answer; trying again";
      }
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}
