// What the elements of our tab do by themselves. No globals, and only elements whose ids are ours.

const COUNTERS = ["ofgen_prompt", "ofgen_negative_prompt"];
const BUSY = 600; // ms between two looks while something is under way
const IDLE = 4000; // and while nothing is
const PATIENCE = 8000; // ms after which an answer counts as lost
const SETTLED = 700; // ms after the last change of a key frame, until the plan is drawn anew

const byId = (id) => document.getElementById(id);

/** Call one of the host's functions for each counter of tokens, where it has that function. */
function eachCounter(name) {
    for (const id of COUNTERS) {
        window[name]?.(id, `${id}_counter`, `${id}_count`);
    }
}

/** Ask the server what is new, as long as somebody can see it. */
class Watch {
    constructor() {
        this.asked = -Infinity;
        this.beat = undefined; // as no answer is: nothing has been asked
        setInterval(() => this.turn(), BUSY / 2);
    }

    turn() {
        const tab = byId("tab_ofgen");
        if (document.hidden || !tab?.offsetParent) return;
        const beat = byId("ofgen_beat")?.querySelector("[data-beat]")?.dataset.beat ?? null;
        const since = performance.now() - this.asked;
        const busy = tab.querySelector("[data-busy]") !== null;
        const answered = beat !== this.beat;
        if (since < (answered ? (busy ? BUSY : IDLE) : PATIENCE)) return;
        this.beat = beat;
        this.asked = performance.now();
        byId("ofgen_look")?.click();
    }

    /** Look at the next turn. */
    hurry() {
        this.asked = Math.min(this.asked, performance.now() - IDLE);
    }
}

/** The strip of a plan: its key frames are added, moved and dropped. */
class Strip {
    constructor(view) {
        this.view = view;
        this.dragged = null;
        this.timer = 0;
        view.addEventListener("pointerdown", (event) => this.grasp(event));
        view.addEventListener("pointermove", (event) => this.drag(event));
        view.addEventListener("pointerup", (event) => this.drop(event));
        view.addEventListener("keydown", (event) => this.press(event));
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

    grasp(event) {
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

    drop(event) {
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

    press(event) {
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

    /** Write the indices into their field and, when nothing more comes, use them. */
    changed(strip) {
        const keys = [...strip.querySelectorAll(".key")].map((key) => Number(key.dataset.index));
        const field = byId("ofgen_plan_keys").querySelector("textarea, input");
        field.value = [...new Set(keys)].sort((a, b) => a - b).join(", ");
        field.dispatchEvent(new Event("input", {bubbles: true}));
        clearTimeout(this.timer);
        this.timer = setTimeout(() => byId("ofgen_plan_take").click(), SETTLED);
    }
}

/** Our lines in the host's language: its own script knows whole texts only, and no later change.
 *
 * In the dictionary {} stands for what differs. What stood there may have a translation too.
 */
class Tongue {
    constructor(root) {
        this.words = window.localization ?? {};
        this.patterns = Object.entries(this.words).filter(([text]) => text.includes("{}")).map(
            ([text, other]) => [this.pattern(text), other.split("{}")],
        );
        if (!this.patterns.length) return;
        new MutationObserver((changes) => {
            for (const {type, target, addedNodes} of changes) {
                (type === "characterData" ? [target] : addedNodes).forEach((node) => this.read(node));
            }
        }).observe(root, {childList: true, characterData: true, subtree: true});
    }

    pattern(text) {
        const parts = text.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
        return new RegExp(`^${parts.join("(.+?)")}$`);
    }

    read(node) {
        if (node.nodeType === Node.TEXT_NODE) {
            const before = node.data.trim();
            const after = before && this.said(before);
            if (after && after !== before) node.data = node.data.replace(before, () => after);
        } else if (!["TEXTAREA", "SCRIPT", "STYLE"].includes(node.nodeName)) {
            node.childNodes.forEach((child) => this.read(child));
        }
    }

    said(text) {
        if (Object.hasOwn(this.words, text)) return this.words[text];
        for (const [pattern, parts] of this.patterns) {
            const found = pattern.exec(text);
            if (found) return parts.reduce((line, part, place) => line + this.said(found[place]) + part);
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

/** A slider that a key has moved is let go of when the key is; gradio knows of the pointer only. */
function letGo(event) {
    const slides = /^(Arrow|Page|Home|End)/.test(event.key);
    if (event.target.type === "range" && slides) event.target.dispatchEvent(new Event("pointerup"));
}

/** Escape stops the film, as it stops a picture in the host's tabs; in a list it closes that. */
function escape(event) {
    const running = byId("ofgen_progress").querySelector("[data-busy]");
    if (event.key === "Escape" && running && !event.target.matches("input")) {
        byId("ofgen_interrupt").click();
    }
}

/** Mark the fields that a refusal is about, until something is put into them. */
class Lack {
    constructor(fields, lines) {
        this.fields = fields.map(byId);
        const look = () => {
            const about = lines.some((line) => byId(line).querySelector(`[data-about="${fields[0]}"]`));
            this.mark(about);
        };
        const observer = new MutationObserver(look);
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

/** Show our tab, whose prompts have come from another. */
function show() {
    const tabs = byId("tabs");
    const panels = [...tabs.children].filter((child) => child.classList.contains("tabitem"));
    const place = panels.indexOf(byId("tab_ofgen"));
    tabs.querySelectorAll(":scope > .tab-nav > button")[place]?.click();
    eachCounter("recalculatePromptTokens");
}

function begin() {
    const tab = byId("tab_ofgen");
    if (!tab) return;
    eachCounter("setupTokenCounting");
    tab.addEventListener("keydown", escape);
    tab.addEventListener("keyup", letGo);
    window.addEventListener("ofgen-open", show);
    new Tongue(tab);
    const watch = new Watch();
    new Lack(["ofgen_path", "ofgen_upload"], ["ofgen_told", "ofgen_plan_told"]);
    new Strip(byId("ofgen_plan_view"));
    byId("ofgen_compare").addEventListener("input", compare);
    for (const id of ["ofgen_plan", "ofgen_generate", "ofgen_plan_take", "ofgen_pause", "ofgen_go_on",
        "ofgen_history_resume", "ofgen_history_delete", "ofgen_history_open", "ofgen_beside_play",
        "ofgen_repaint", "ofgen_repaint_undo"]) {
        byId(id)?.addEventListener("click", () => setTimeout(() => watch.hurry(), BUSY));
    }
}

window.onUiLoaded?.(begin);
window.onOptionsChanged?.(() => eachCounter("toggleTokenCountingVisibility"));
