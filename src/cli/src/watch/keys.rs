//! What the user types while files are watched: single keys, and a line after some of them.

use std::io::{self, Read, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Everything.
    All,
    /// What failed last.
    Failed,
    /// What matches this pattern; everything if it is empty.
    Pattern(String),
    /// Tests whose names match this expression; everything if it is empty.
    Name(String),
    /// Again, and what snapshots show now is accepted.
    Update,
    /// Again.
    Again,
    /// What the keys do.
    Help,
    /// The end.
    Quit,
}

/// The terminal that keys come from, in which they arrive at once; as it was before when this is dropped.
pub struct Terminal {
    before: Option<Termios>,
    without: LocalModes,
}

impl Terminal {
    /// Takes standard input, if it is a terminal.
    pub fn take() -> Self {
        Self::without(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The same, and Ctrl-C is a byte as any other.
    pub fn take_whole() -> Self {
        Self::without(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn without(modes: LocalModes) -> Self {
        let terminal = Self {
            before: termios::tcgetattr(rustix::stdio::stdin()).ok(),
            without: modes,
        };
        terminal.set();
        terminal
    }

    /// Takes it once more: the shell has put it back for itself after Ctrl-Z. From the background that would be to ask for being stopped.
    pub fn take_again(&self) {
        if termios::tcgetpgrp(rustix::stdio::stdin()) == Ok(rustix::process::getpgrp()) {
            self.set();
        }
    }

    fn set(&self) {
        if let Some(before) = &self.before {
            let mut now = before.clone();
            now.local_modes.remove(self.without);
            // Without it keys come after Enter, which is no reason to end.
            let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &now);
        }
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

/// The bytes of standard input, read by a thread that ends with the process.
pub fn bytes() -> UnboundedReceiver<u8> {
    let (send, receive) = unbounded_channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = io::stdin().read(&mut byte) {
            if send.send(byte[0]).is_err() {
                return;
            }
        }
    });
    receive
}

/// Makes keys of bytes.
#[derive(Debug, Default)]
pub struct Keys {
    /// The key that a line is asked for, and the line so far.
    line: Option<(u8, Vec<u8>)>,
}

const ESCAPE: u8 = 0x1b;
const DELETE: [u8; 2] = [0x7f, 0x08];

impl Keys {
    /// Whether a line is being typed, which nothing else should be printed into.
    pub fn is_asking(&self) -> bool {
        self.line.is_some()
    }

    /// Takes a byte in; `echo` is where a line that is being typed is shown.
    ///
    /// # Errors
    /// If it can't be written there.
    pub fn take(&mut self, byte: u8, echo: &mut dyn Write) -> io::Result<Option<Key>> {
        let Some((key, line)) = &mut self.line else {
            return Ok(match byte {
                b'a' => Some(Key::All),
                b'f' => Some(Key::Failed),
                b'u' => Some(Key::Update),
                b'\n' | b'\r' => Some(Key::Again),
                b'q' | 0x04 => Some(Key::Quit),
                b'h' | b'?' => Some(Key::Help),
                b'p' | b't' => {
                    let asked = if byte == b'p' {
                        "pattern (a path, a node ID, or a glob)"
                    } else {
                        "name (an expression, as for -k)"
                    };
                    write!(echo, "\r\x1b[K{asked}; nothing for all: ")?;
                    echo.flush()?;
                    self.line = Some((byte, Vec::new()));
                    None
                }
                _ => None,
            });
        };
        match byte {
            b'\n' | b'\r' => {
                let (key, text) = (*key, String::from_utf8_lossy(line).trim().to_owned());
                self.line = None;
                writeln!(echo)?;
                return Ok(Some(if key == b'p' {
                    Key::Pattern(text)
                } else {
                    Key::Name(text)
                }));
            }
            ESCAPE => {
                self.line = None;
                writeln!(echo)?;
                return Ok(Some(Key::Help));
            }
            _ if DELETE.contains(&byte) => {
                // One character, which may have several bytes.
                while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {}
                write!(echo, "\x08 \x08")?;
            }
            _ if byte >= b' ' => {
                line.push(byte);
                echo.write_all(&[byte])?;
            }
            _ => {}
        }
        echo.flush()?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut echo = Vec::new();
        text.bytes()
            .filter_map(|byte| keys.take(byte, &mut echo).unwrap())
            .collect()
    }

    #[test]
    fn keys_act_at_once_and_lines_at_their_end() {
        assert_eq!(
            typed("a\nfxq"),
            [Key::All, Key::Again, Key::Failed, Key::Quit]
        );
        assert_eq!(
            typed("ptests/äö\u{7f}\u{7f}b.py\na"),
            [Key::Pattern("tests/b.py".into()), Key::All]
        );
        assert_eq!(typed("tone or two\r"), [Key::Name("one or two".into())]);
        assert_eq!(typed("p\n"), [Key::Pattern(String::new())]);
        assert_eq!(typed("pq\u{1b}q"), [Key::Help, Key::Quit]);
    }
}
