"""How the pages look: one quiet theme in light and dark, from what the machine itself has.

System fonts only, and no style sheet from another host, so the pages are whole on a machine without a network.
"""

from __future__ import annotations

import gradio as gr

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

CSS = """
.gradio-container { width: 100%; max-width: 1120px !important; margin: 0 auto !important; }
:focus-visible, .upload-container button:focus-visible, label:has(> input:focus-visible) {
  outline: 2px solid var(--ready) !important; outline-offset: 2px !important; }
footer .divider { display: none; }
.html-container { padding: 0 !important; }
.block.hide-container:has(> .html-container > div:empty) { margin-top: calc(-1 * var(--layout-gap)); }
.wrap.full:has(> .loading) { visibility: hidden; }
.gallery-item .container, .gallery-item img { width: 80px !important; height: 80px !important; max-width: none; }
.gallery-item img { object-fit: cover !important; }
.block:has(> .image-container:not([data-testid])) > label.float { position: static; width: max-content; }
input[type="range"]::-webkit-slider-thumb { border: 2px solid var(--slider-color); }
input[type="range"]::-moz-range-thumb { border: 2px solid var(--slider-color); }
button.small { flex-grow: 0 !important; align-self: flex-start; width: auto !important; }
.page-head h1 { font-size: 1.6rem; font-weight: 650; letter-spacing: -0.01em; margin: 0.4rem 0 0.2rem; }
.page-head p, .note p { color: var(--body-text-color-subdued); max-width: 68ch; text-wrap: pretty; }
.note p { font-size: var(--text-sm); }
.listing textarea { font-family: var(--font-mono); font-size: var(--text-sm); }
button[role="tab"][aria-selected="true"] { color: var(--ready) !important; }
a.download-link { color: var(--ready) !important; }
.says { min-height: 1.5rem; }
.says p { color: var(--body-text-color); font-size: var(--text-md); }
.facts { width: 100%; overflow-x: auto; border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--block-background-fill); }
.facts table { width: 100%; border-collapse: collapse; margin: 0; padding: 0; border: 0 !important;
  font-size: var(--text-sm); }
.facts tr { border: 0 !important; }
.facts a { padding: 0; color: var(--ready); text-decoration: underline; }
.facts caption { text-align: left; padding: 0.7rem 0.9rem 0.3rem; font-weight: 600; color: var(--body-text-color); }
.facts th, .facts td { text-align: left; vertical-align: top; padding: 0.5rem 0.9rem; border: 0;
  border-top: 1px solid var(--border-color-primary); color: var(--body-text-color); background: transparent; }
.facts thead th { font-weight: 600; color: var(--body-text-color-subdued); border-top: 0; vertical-align: bottom; }
.facts thead th.number { white-space: normal; }
.facts tbody th { font-weight: 600; min-width: 6rem; }
.facts .short { white-space: nowrap; }
.facts .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts .number .soft { white-space: normal; }
.facts .soft { display: block; font-weight: 400; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.facts .tag { display: inline-block; padding: 0 0.5em; border-radius: 1em;
  border: 1px solid var(--border-color-primary); color: var(--body-text-color-subdued);
  font-size: var(--text-xs); white-space: nowrap; }
.forest { padding: 0.7rem 0.9rem; font-size: var(--text-sm); color: var(--body-text-color); }
.forest .row { display: grid; grid-template-columns: minmax(6rem, 12rem) 1fr; gap: 0.8rem; align-items: center; }
.forest svg { display: block; width: 100%; height: 1.6rem; overflow: visible; color: var(--ready); }
.forest svg.still { color: var(--body-text-color-subdued); }
.forest circle { fill: currentColor; }
.forest line { stroke: currentColor; stroke-width: 2; }
.forest line.zero { stroke: var(--border-color-primary); stroke-dasharray: 3 3; }
.forest .axis { display: flex; justify-content: space-between; color: var(--body-text-color-subdued); }
.role-legend { display: none; }
.more { margin-top: 0.7rem; }
.more summary { cursor: pointer; padding: 0.3rem 0; font-size: var(--text-sm); color: var(--body-text-color); }
.cited { margin-bottom: 1rem; }
.cited h3 { margin: 0; padding: 0.5rem 0.9rem; font-size: var(--text-md); font-weight: 600; overflow-wrap: anywhere;
  color: var(--body-text-color); }
.cited p { margin: 0; padding: 0 0.9rem 0.7rem; white-space: pre-line; overflow-wrap: anywhere;
  color: var(--body-text-color); }
.cited mark { padding: 0 0.15em; border-radius: 0.2em; background: #ffe58a; color: #1f2937; }
.facts .tag.yes { color: var(--ready); border-color: currentColor; }
:root { --ready: #0f766e; }
.dark { --ready: #5eead4; }
.json-node { --string-color: #9a3412 !important; --number-color: #166534 !important; --text-color: #9d174d !important;
  --key-color: #9d174d !important; }
.dark .json-node { --string-color: #ce9178 !important; --number-color: #b5cea8 !important;
  --text-color: #f0a8c4 !important; --key-color: #f0a8c4 !important; }
@media (max-width: 640px) {
  .facts thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .facts tbody tr { display: block; padding: 0.5rem 0;
    border-top: 1px solid var(--border-color-primary) !important; }
  .facts th, .facts td { display: block; border-top: 0; padding: 0.12rem 0.9rem; }
  .facts td.short, .facts td.number { display: inline-block; padding-right: 0; text-align: left; }
  .facts td[data-label]::before { content: attr(data-label) ": "; color: var(--body-text-color-subdued); }
  input[aria-label="Model"] { font-size: var(--text-sm) !important; letter-spacing: -0.01em; }
}
"""
"""Laid over the theme: page heads, and fact tables that become lists on a narrow screen."""

HEAD = """
<style>
nav.fillable { gap: 2px !important; justify-content: flex-start !important; padding-left: 24px !important; }
nav.fillable a { font-size: 15px !important; padding: 4px 8px !important; }
@media (max-width: 640px) {
  nav.fillable { padding: 0 9px !important; }
  .main.fillable { padding-left: 16px !important; padding-right: 16px !important; }
  nav.fillable a { padding: 4px 7px !important; }
}
</style>
<script>
new MutationObserver(() => {
  document.querySelectorAll(".gallery-item img[alt='']").forEach(image => {
    const file = decodeURIComponent(image.src.split("/").pop());
    image.alt = "Example: " + file.replace(/\\.\\w+$/, "").replaceAll("_", " ");
  });
  document.querySelectorAll("div.empty[aria-label]:not([role])").forEach(empty => empty.setAttribute("role", "img"));
  document.querySelectorAll("button.icon-button:not([role]):has(button)").forEach(outer => {
    outer.setAttribute("role", "group");
    outer.setAttribute("tabindex", "-1");
    outer.setAttribute("aria-label", "More files");
  });
  document.querySelectorAll(".toast-header[role]").forEach(head => {
    head.removeAttribute("role");
    head.removeAttribute("tabindex");
  });
  document.querySelectorAll(".says:not([aria-live])").forEach(line => line.setAttribute("aria-live", "polite"));
}).observe(document, { childList: true, subtree: true });

const narrow = matchMedia("(max-width: 640px)"), still = matchMedia("(prefers-reduced-motion: reduce)");
let asks = false;
for (const kind of ["click", "change", "drop"]) document.addEventListener(kind, event => {
  const file = event.target.type === "file", button = "button.primary, button.secondary, .gallery-item, tr.tr-body";
  asks = kind === "drop" || file || (kind === "click" && Boolean(event.target.closest?.(button)));
}, true);
new MutationObserver(changes => {
  if (!asks || !narrow.matches) return;
  const lines = changes.map(change => (change.target.closest ? change.target : change.target.parentElement));
  const line = lines.map(one => one?.closest(".says")).find(one => one?.checkVisibility());
  if (!line) return;
  asks = false;
  line.scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
}).observe(document, { childList: true, characterData: true, subtree: true });
</script>
"""
"""For what Gradio keeps out of the style sheet's reach: the navigation bar, the page's margins, names for the example
pictures, the role of what stands for an answer that has not come, without which its name counts for nothing, and two
buttons that are none because the one that does something stands inside: the head of a message, and the one that takes
more files. Answers are read out as they come; on a narrow screen, where they stand below what was asked, the page goes
to them when a button, an example or a file asks, and stays where a slider or a choice does."""


def theme() -> gr.themes.Base:
    """The theme, given to ``launch``."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=_SANS,
        font_mono=_MONO,
    ).set(
        body_background_fill="*neutral_50",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="*background_fill_primary",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_800",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
    )
