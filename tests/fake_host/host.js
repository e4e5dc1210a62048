// What the webui's own scripts do for an extension: tell it when the page is there, count tokens,
// begin by keyboard, translate.

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

document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.ctrlKey) return;
    const buttons = document.querySelectorAll("[id$=_generate]");
    [...buttons].find((button) => button.offsetParent)?.click();
});

document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => {
        if (Object.keys(window.localization).length) translate();
        if (loaded || !document.getElementById("ofgen_generate")) return;
        loaded = true;
        for (const callback of waiting) callback();
    }).observe(document.body, {childList: true, subtree: true});
});
