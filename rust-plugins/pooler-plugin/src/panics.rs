//! Catches panics at the edge and says what they were and where. A panic that reached `extern "C"` would abort.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many `guard`s are under way on this thread.
    static GUARDED: Cell<u32> = const { Cell::new(0) };
    /// What the latest caught panic said, and where it was.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the plugin's code; a panic becomes its message.
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    let _ = GUARDED.try_with(|depth| depth.set(depth.get() + 1));
    // The plugin's documentation says that its state is used again after a panic.
    let result = catch_unwind(AssertUnwindSafe(code));
    let _ = GUARDED.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    result.map_err(|payload| {
        let told = CAUGHT.try_with(|caught| caught.borrow_mut().take()).ok().flatten();
        let message = told.unwrap_or_else(|| payload_text(payload.as_ref()).to_owned());
        if payload.is::<String>() || payload.is::<&'static str>() {
            drop(payload);
        } else {
            std::mem::forget(payload); // dropping an unknown payload may panic again
        }
        message
    })
}

/// Makes panics under `guard` leave their message and place instead of printing them; others go on as before.
///
/// A shared library has its own copy of the standard library, so this touches nobody else's panics.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            let guarded = GUARDED.try_with(|depth| depth.get() > 0).unwrap_or(false);
            match guarded {
                true => note(info),
                false => previous(info),
            }
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    let text = payload_text(info.payload());
    let message = match info.location() {
        Some(place) => format!("{text} (at {}:{})", place.file(), place.line()),
        None => text.to_owned(),
    };
    let _ = CAUGHT.try_with(|caught| {
        if let Ok(mut caught) = caught.try_borrow_mut() {
            *caught = Some(message);
        }
    });
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "panicked with a value that is not text"
    }
}
