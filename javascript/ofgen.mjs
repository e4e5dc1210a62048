// What the elements of our tab do by themselves. No globals, and only elements whose ids are ours.

const COUNTERS = ["ofgen_prompt", "ofgen_negative_prompt"];

/** Call one of the host's functions for each counter of tokens, where it has that function. */
function eachCounter(name) {
    for (const id of COUNTERS) {
        window[name]?.(id, `${id}_counter`, `${id}_count`);
    }
}

window.onUiLoaded?.(() => eachCounter("setupTokenCounting"));
window.onOptionsChanged?.(() => eachCounter("toggleTokenCountingVisibility"));
