//! Pages that say that something is not there or did not work.

use maud::html;

use super::layout::Frame;

/// There is no such page.
pub(crate) fn not_found(frame: &Frame) -> String {
    let texts = frame.texts();
    message(frame, texts.not_found_title, texts.not_found)
}

/// It did not work; `why` is shown if it helps.
pub(crate) fn went_wrong(frame: &Frame, why: &str) -> String {
    let texts = frame.texts();
    message(frame, texts.went_wrong_title, if why.is_empty() { texts.went_wrong } else { why })
}

fn message(frame: &Frame, title: &str, text: &str) -> String {
    let texts = frame.texts();
    let content = html! {
        div."panel empty" {
            h1 { (title) }
            p { (text) }
            a.button href=(frame.link("/")) { (texts.back_to_shop) }
        }
    };
    frame.page(title, None, "", &content)
}
