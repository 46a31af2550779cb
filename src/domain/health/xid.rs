//! What the numbers mean that NVIDIA's driver reports a GPU's errors by.
//!
//! Classes follow the immediate action of NVIDIA's Xid catalog
//! (<https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html>): RESTART_APP, RESET_GPU and the like,
//! CONTACT_SUPPORT. Where that is a workflow that may end in a reset, and for contained memory errors (94), whose row is
//! replaced by a reset only, it is a reset here: a GPU that waits costs less than one that lies.

use serde::{Deserialize, Serialize};

/// An error's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xid(pub u64);

/// What an error asks for. The worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing: it is for the record.
    Harmless,
    /// The program is at fault most often, and only its own channel is lost.
    Application,
    /// The GPU does nothing reliable before it is reset.
    Reset,
    /// A reset is not expected to help: hardware, or the host under it.
    Support,
}

/// Number, class, and what it means, in words after which a full stop may stand.
const KNOWN: &[(u64, Class, &str)] = &[
    (8, Class::Application, "GPU stopped processing"),
    (13, Class::Application, "graphics engine exception"),
    (31, Class::Application, "GPU memory page fault"),
    (32, Class::Application, "invalid or corrupted push buffer stream"),
    (37, Class::Application, "driver firmware error"),
    (38, Class::Reset, "driver firmware error"),
    (43, Class::Application, "GPU stopped processing for the program"),
    (44, Class::Reset, "graphics engine fault during a context switch"),
    (45, Class::Harmless, "the program's channels were removed"),
    (46, Class::Reset, "GPU stopped processing"),
    (48, Class::Reset, "double bit ECC error"),
    (54, Class::Support, "auxiliary power is not connected"),
    (61, Class::Reset, "internal micro-controller breakpoint"),
    (62, Class::Reset, "internal micro-controller halt"),
    (63, Class::Harmless, "memory page or row is to be replaced at the next reset"),
    (64, Class::Reset, "memory page or row could not be replaced"),
    (68, Class::Application, "video decoder exception"),
    (69, Class::Application, "graphics engine class error"),
    (74, Class::Reset, "NVLink error"),
    (78, Class::Support, "vGPU could not be started"),
    (79, Class::Support, "GPU has fallen off the bus"),
    (92, Class::Harmless, "high rate of corrected memory errors"),
    (94, Class::Reset, "contained memory error"),
    (95, Class::Reset, "uncontained memory error"),
    (109, Class::Reset, "context switch timeout"),
    (110, Class::Support, "security fault"),
    (119, Class::Reset, "GSP firmware does not answer"),
    (120, Class::Reset, "GSP firmware error"),
    (121, Class::Harmless, "corrected C2C link error"),
    (136, Class::Reset, "link training failed"),
    (140, Class::Reset, "unrecovered memory error"),
    (143, Class::Reset, "GPU could not be initialised"),
    (154, Class::Harmless, "the driver's recommended recovery has changed"),
];

impl Xid {
    fn known(self) -> Option<&'static (u64, Class, &'static str)> {
        KNOWN.iter().find(|(number, _, _)| *number == self.0)
    }

    /// Of a number that is not listed nobody knows that the GPU is at fault, so it counts as the program's.
    #[must_use]
    pub fn class(self) -> Class {
        self.known().map_or(Class::Application, |(_, class, _)| *class)
    }

    /// In words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.known().map_or("not known to clearmld; see NVIDIA's Xid catalog", |(_, _, meaning)| meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_listed_once_and_the_usual_ones_have_the_class_that_their_remedy_asks_for() {
        assert!(KNOWN.is_sorted_by(|one, next| one.0 < next.0));
        let of = |class| KNOWN.iter().filter(move |known| known.1 == class).map(|known| known.0).collect::<Vec<_>>();
        for program in [13, 31, 43] {
            assert!(of(Class::Application).contains(&program), "{program}");
        }
        for reset in [48, 62, 64, 74, 94, 95, 119, 120] {
            assert!(of(Class::Reset).contains(&reset), "{reset}");
        }
        assert_eq!(Xid(79).class(), Class::Support);
        assert_eq!((Xid(9999).class(), Xid(63).class()), (Class::Application, Class::Harmless));
        assert_eq!(Xid(45).class(), Class::Harmless, "it comes with every kill");
    }
}
