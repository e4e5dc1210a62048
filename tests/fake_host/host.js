// What the webui's own scripts do for an extension: tell it when the page is there, count tokens,
// begin by keyboard, translate, look for elements that want a tooltip.

const waiting = [];
let loaded = false;

window.onUiLoaded = (callback) => {
    if (loaded) callback();
    else waiting.push(callback);
};

window.onOptionsChanged = (callback) => window.onUiLoaded(callback);

window.setupTokenCounting = (prompt, counter, button) => {
    let timer = 0;
    document.getElementById(prompt).addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => document.getElementById(button).click(), 300);
    });
};

window.toggleTokenCountingVisibility = (prompt, counter, button) => {
    document.getElementById(counter).style.setProperty("display", "block", "important");
};

function translate() {
    const tree = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (tree.nextNode()) {
        const said = window.localization[tree.currentNode.textContent.trim()];
        if (said) tree.currentNode.textContent = said;
    }
}

/** Elements that came into the page are held until it has been still for a second, as by hints.js. */
const untold = new Set();
let untoldTimer = 0;

function hold(changes) {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        if (node.matches("span, button, p, input")) untold.add(node);
        node.querySelectorAll("span, button, p").forEach((inner) => untold.add(inner));
    }
    clearTimeout(untoldTimer);
    untoldTimer = setTimeout(() => untold.clear(), 1000);
}

document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.ctrlKey) return;
    const buttons = document.querySelectorAll("[id$=_generate]");
    [...buttons].find((button) => button.offsetParent)?.click();
});

document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver((changes) => {
        hold(changes);
        if (Object.keys(window.localization).length) translate();
        if (loaded || !document.getElementById("ofgen_generate")) return;
        loaded = true;
        for (const callback of waiting) callback();
    }).observe(document.body, {childList: true, subtree: true});
});
