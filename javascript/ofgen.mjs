// Behaviour of our tab in the page. It defines no globals and uses only elements with our ids.

const COUNTERS = ["ofgen_prompt", "ofgen_negative_prompt"];
const BUSY = 600; // ms between two refreshes while a job or a plan runs
const IDLE = 4000; // ms between two refreshes while nothing runs
const TIMEOUT = 8000; // ms after which an answer counts as lost
const SETTLED = 700; // ms from the last change of a key frame to the new plan

const byId = (id) => document.getElementById(id);

/** Call a function of the host for each token counter, if the host has the function. */
function eachCounter(name) {
    for (const id of COUNTERS) {
        window[name]?.(id, `${id}_counter`, `${id}_count`);
    }
}

/** Refreshes the panels while the tab is visible. */
class Refresher {
    constructor() {
        this.asked = -Infinity;
        this.beat = undefined; // differs from every answer: nothing has been asked yet
        setInterval(() => this.turn(), BUSY / 2);
    }

    turn() {
        const tab = byId("tab_ofgen");
        if (document.hidden || !tab?.offsetParent) return;
        const beat = byId("ofgen_beat")?.querySelector("[data-beat]")?.dataset.beat ?? null;
        const since = performance.now() - this.asked;
        const busy = tab.querySelector("[data-busy]") !== null;
        const answered = beat !== this.beat;
        if (since < (answered ? (busy ? BUSY : IDLE) : TIMEOUT)) return;
        this.beat = beat;
        this.asked = performance.now();
        byId("ofgen_look")?.click();
    }

    /** Refresh at the next turn. */
    hurry() {
        this.asked = Math.min(this.asked, performance.now() - IDLE);
    }
}

/** The strip of a plan, on which the user adds, moves and removes key frames. */
class KeyStrip {
    constructor(view) {
        this.view = view;
        this.dragged = null;
        this.timer = 0;
        view.addEventListener("pointerdown", (event) => this.startDrag(event));
        view.addEventListener("pointermove", (event) => this.drag(event));
        view.addEventListener("pointerup", (event) => this.endDrag(event));
        view.addEventListener("keydown", (event) => this.pressKey(event));
    }

    strip(event) {
        return event.target.closest(".strip");
    }

    frame(strip, event) {
        const box = strip.getBoundingClientRect();
        const place = Math.floor((event.clientX - box.left) / box.width * strip.dataset.length);
        return Math.max(0, Math.min(strip.dataset.length - 1, place));
    }

    put(key, index) {
        const strip = key.closest(".strip");
        key.dataset.index = index;
        key.style.left = `${100 * (index + 0.5) / strip.dataset.length}%`;
        key.title = `${index}, ${(index / strip.dataset.rate).toFixed(2)} s`;
        key.setAttribute("aria-label", `key frame ${key.title}`);
    }

    startDrag(event) {
        const strip = this.strip(event);
        if (!strip || event.button !== 0) return;
        const key = event.target.closest(".key");
        this.dragged = {strip, key, from: event.clientX, moved: false};
        if (key) {
            event.preventDefault();
            key.focus();
            key.setPointerCapture(event.pointerId);
        }
    }

    drag(event) {
        if (!this.dragged?.key) return;
        this.dragged.moved ||= Math.abs(event.clientX - this.dragged.from) > 3;
        if (this.dragged.moved) this.put(this.dragged.key, this.frame(this.dragged.strip, event));
    }

    endDrag(event) {
        const {strip, key, from, moved} = this.dragged ?? {};
        this.dragged = null;
        if (!strip || (key && !moved)) return;
        if (!key) {
            if (Math.abs(event.clientX - from) > 3) return;
            const added = document.createElement("button");
            added.type = "button";
            added.className = "key";
            strip.append(added);
            this.put(added, this.frame(strip, event));
            added.focus();
        }
        this.changed(strip);
    }

    pressKey(event) {
        const key = event.target.closest(".key");
        const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        if (!key) return;
        const strip = key.closest(".strip");
        if (step) {
            const index = Number(key.dataset.index) + step;
            if (index < 0 || index >= strip.dataset.length) return;
            this.put(key, index);
        } else if (event.key === "Delete" || event.key === "Backspace") {
            (key.previousElementSibling ?? strip).focus?.();
            key.remove();
        } else {
            return;
        }
        event.preventDefault();
        this.changed(strip);
    }

    /** Write the indices into their field, and use them when no further change comes. */
    changed(strip) {
        const keys = [...strip.querySelectorAll(".key")].map((key) => Number(key.dataset.index));
        const field = byId("ofgen_plan_keys").querySelector("textarea, input");
        field.value = [...new Set(keys)].sort((a, b) => a - b).join(", ");
        field.dispatchEvent(new Event("input", {bubbles: true}));
        clearTimeout(this.timer);
        this.timer = setTimeout(() => byId("ofgen_plan_take").click(), SETTLED);
    }
}

/** Translates our lines. The host's own script translates whole texts only, and no later changes.
 *
 * In the dictionary, {} stands for the part that differs; that part may have a translation too.
 */
class Translator {
    constructor(root) {
        this.words = window.localization ?? {};
        this.patterns = Object.entries(this.words).filter(([text]) => text.includes("{}")).map(
            ([text, other]) => [this.pattern(text), other.split("{}")],
        );
        if (!this.patterns.length) return;
        new MutationObserver((changes) => {
            for (const {type, target, addedNodes} of changes) {
                (type === "characterData" ? [target] : addedNodes).forEach((node) => this.translateNode(node));
            }
        }).observe(root, {childList: true, characterData: true, subtree: true});
    }

    pattern(text) {
        const parts = text.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
        return new RegExp(`^${parts.join("(.+?)")}$`);
    }

    translateNode(node) {
        if (node.nodeType === Node.TEXT_NODE) {
            const before = node.data.trim();
            const after = before && this.translate(before);
            if (after && after !== before) node.data = node.data.replace(before, () => after);
        } else if (!["TEXTAREA", "SCRIPT", "STYLE"].includes(node.nodeName)) {
            node.childNodes.forEach((child) => this.translateNode(child));
        }
    }

    translate(text) {
        if (Object.hasOwn(this.words, text)) return this.words[text];
        for (const [pattern, parts] of this.patterns) {
            const found = pattern.exec(text);
            if (found) return parts.reduce((line, part, place) => line + this.translate(found[place]) + part);
        }
        return text;
    }
}

/** Move the border between the source and the film. */
function compare(event) {
    const figure = event.target.closest(".compare");
    if (event.target.type === "range" && figure) {
        figure.style.setProperty("--at", `${event.target.value}%`);
    }
}

/** Release a slider when the key that moved it is released; gradio handles the pointer only. */
function releaseSlider(event) {
    const slides = /^(Arrow|Page|Home|End)/.test(event.key);
    if (event.target.type === "range" && slides) event.target.dispatchEvent(new Event("pointerup"));
}

/** Escape stops the film, as it stops a picture in the host's tabs; in a list it closes the list. */
function stopByEscape(event) {
    const running = byId("ofgen_progress").querySelector("[data-busy]");
    if (event.key === "Escape" && running && !event.target.matches("input")) {
        byId("ofgen_interrupt").click();
    }
}

/** Marks the fields that an error is about, until the user changes them. */
class FieldMarker {
    constructor(fields, lines) {
        this.fields = fields.map(byId);
        const update = () => {
            const about = lines.some((line) => byId(line).querySelector(`[data-about="${fields[0]}"]`));
            this.mark(about);
        };
        const observer = new MutationObserver(update);
        for (const line of lines) observer.observe(byId(line), {childList: true, subtree: true});
        for (const field of this.fields) {
            for (const event of ["input", "change", "drop"]) {
                field.addEventListener(event, () => this.mark(false));
            }
        }
    }

    mark(on) {
        for (const field of this.fields) {
            field.classList.toggle("ofgen-lacks", on);
            field.querySelector("textarea, input")?.setAttribute("aria-invalid", on);
        }
    }
}

/** Show our tab after another tab has sent parameters to it. */
function openTab() {
    const tabs = byId("tabs");
    const panels = [...tabs.children].filter((child) => child.classList.contains("tabitem"));
    const place = panels.indexOf(byId("tab_ofgen"));
    tabs.querySelectorAll(":scope > .tab-nav > button")[place]?.click();
    eachCounter("recalculatePromptTokens");
}

function connect() {
    const tab = byId("tab_ofgen");
    if (!tab) return;
    eachCounter("setupTokenCounting");
    tab.addEventListener("keydown", stopByEscape);
    tab.addEventListener("keyup", releaseSlider);
    window.addEventListener("ofgen-open", openTab);
    new Translator(tab);
    const refresher = new Refresher();
    new FieldMarker(["ofgen_path", "ofgen_upload"], ["ofgen_told", "ofgen_plan_told"]);
    new KeyStrip(byId("ofgen_plan_view"));
    byId("ofgen_compare").addEventListener("input", compare);
    for (const id of ["ofgen_plan", "ofgen_generate", "ofgen_plan_take", "ofgen_pause", "ofgen_go_on",
        "ofgen_history_resume", "ofgen_history_delete", "ofgen_history_open", "ofgen_beside_play",
        "ofgen_repaint", "ofgen_repaint_undo"]) {
        byId(id)?.addEventListener("click", () => setTimeout(() => refresher.hurry(), BUSY));
    }
}

window.onUiLoaded?.(connect);
window.onOptionsChanged?.(() => eachCounter("toggleTokenCountingVisibility"));
