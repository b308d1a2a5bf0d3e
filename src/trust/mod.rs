//! Who may say it, and is it the newest? The only maker of `Verified<T>`.
