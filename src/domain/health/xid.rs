//! What the numbers mean that NVIDIA's driver reports a GPU's errors by.
//!
//! The source is NVIDIA's Xid catalog for Ampere and newer
//! (<https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html>), and for what it calls unused the listing for
//! older cards (<https://docs.nvidia.com/deploy/xid-errors/archive/index.html>). The class is the catalog's immediate action:
//!
//! | immediate action | class |
//! |---|---|
//! | IGNORE | [`Class::Harmless`] |
//! | RESTART_APP | [`Class::Application`] where it goes on with CHECK_APP, else [`Class::Contained`] |
//! | RESET_GPU, RESTART_VM | [`Class::Reset`] |
//! | CONTACT_SUPPORT, CHECK_MECHANICALS, RESTART_BM | [`Class::Support`] |
//!
//! Where the number alone does not decide, as it is all that NVML says of an event:
//!
//! * **43, 137** are to be ignored of the GPU, but the program that made them ends.
//! * **32** is seldom the program's fault, as the catalog says beside it.
//! * **48, 74** ask for a reset once their workflows have been gone through, and **159** does where CUDA is used.
//! * **63, 64**: a page before Ampere and a row since, put aside or not; what of it waits for a reset the card itself says.
//! * **94** is contained since Ampere's A100: other programs go on, and so does the GPU, unless its count of uncorrected
//!   errors takes it out of use. A card without containment reports 48 or **95**, which ask for a reset.
//! * **144 to 150** (NVLink since Blackwell) have a table of their own for the rest of their message. 149 and 150 ask for a
//!   reset in nearly all of its rows, 147 and 148 never; what is fatal of the others comes with 48.
//! * **154** says that the driver recommends something else than before, which is asked of the driver itself (since R565)
//!   and has the last word on all of these, by the card's generation.
//! * **78** is about the driver of a guest.
//! * **142** is an encoder's, as 47, 65 and 73 are. The catalog's cards have none and say CONTACT_SUPPORT; others have, and
//!   it is with them what 88 is with a decoder.
//! * **61** is unused since Ampere; on older cards NVIDIA's debug guidelines ask for a reset.
//! * **167 to 172** have no action yet; they are what 158, 62 and 48 are.

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
    /// Only the program's channel is lost, whoever is at fault.
    Contained,
    /// The GPU does nothing reliable before it is reset.
    Reset,
    /// A reset is not expected to help: hardware, or the host under it.
    Support,
}

/// Class, numbers, and what they mean, in words after which a full stop may stand.
const KNOWN: &[(Class, &[u64], &str)] = &[
    (Class::Harmless, &[14], "error injected by a program"),
    (Class::Harmless, &[37, 38], "driver firmware error"),
    (Class::Harmless, &[44], "graphics engine fault during a context switch"),
    (Class::Harmless, &[45], "the program's channels were removed"),
    (Class::Harmless, &[63], "memory page or row is to be replaced at the next reset"),
    (Class::Harmless, &[66, 67], "illegal access by the driver"),
    (Class::Harmless, &[78], "vGPU of a guest could not be started"),
    (Class::Harmless, &[92], "high rate of corrected memory errors"),
    (Class::Harmless, &[93], "its InfoROM has been written too often"),
    (Class::Harmless, &[106, 107], "test message"),
    (Class::Harmless, &[121], "corrected C2C link error"),
    (Class::Harmless, &[141], "CUDA fast path error"),
    (Class::Harmless, &[147, 148], "NVLink error that is not fatal"),
    (Class::Harmless, &[152, 153], "deep learning accelerator error"),
    (Class::Harmless, &[154], "the driver's recommended recovery has changed"),
    (Class::Harmless, &[157], "part of it could not be replaced"),
    (Class::Harmless, &[160, 161], "channel retirement"),
    (Class::Harmless, &[162, 163, 164, 165], "power smoothing has changed"),
    (Class::Application, &[11, 25], "invalid or corrupted push buffer stream"),
    (Class::Application, &[13], "graphics engine exception"),
    (Class::Application, &[31], "GPU memory page fault"),
    (Class::Application, &[43], "GPU stopped processing for the program"),
    (Class::Application, &[69], "graphics engine class error"),
    (Class::Application, &[80], "corrupted data sent to the GPU"),
    (Class::Application, &[137], "illegal access over NVLink"),
    (Class::Contained, &[8], "GPU stopped processing"),
    (Class::Contained, &[32], "corrupted push buffer stream, most often over PCIe"),
    (Class::Contained, &COPY_ENGINES, "copy engine error"),
    (Class::Contained, &[47, 65, 73, 142], "video encoder error"),
    (Class::Contained, &[60], "video processor exception"),
    (Class::Contained, &[68, 83, 84, 88, 89, 96, 97, 98], "video decoder error"),
    (Class::Contained, &[82, 99, 100, 101, 102, 103, 104, 105], "JPEG decoder error"),
    (Class::Contained, &[86, 139], "optical flow error"),
    (Class::Contained, &[94], "contained memory error"),
    (Class::Contained, &[144, 145, 146], "NVLink error"),
    (Class::Reset, &[46], "GPU stopped processing"),
    (Class::Reset, &[48], "double bit ECC error"),
    (Class::Reset, &[59], "internal micro-controller error"),
    (Class::Reset, &[61], "internal micro-controller breakpoint"),
    (Class::Reset, &[62, 169], "internal micro-controller halt"),
    (Class::Reset, &[64], "memory page or row could not be replaced"),
    (Class::Reset, &[74], "NVLink error"),
    (Class::Reset, &[95], "uncontained memory error"),
    (Class::Reset, &[109], "context switch timeout"),
    (Class::Reset, &[110], "security fault"),
    (Class::Reset, &[119], "GSP firmware does not answer"),
    (Class::Reset, &[120], "GSP firmware error"),
    (Class::Reset, &[136], "link training failed"),
    (Class::Reset, &[140], "unrecovered memory error"),
    (Class::Reset, &[143], "GPU could not be initialised"),
    (Class::Reset, &[149], "NVLink is down"),
    (Class::Reset, &[150], "NVLink firmware error"),
    (Class::Reset, &[151], "key rotation error"),
    (Class::Reset, &[155], "NVLink was taken down"),
    (Class::Reset, &[156], "part of it is to be replaced at the next reset"),
    (Class::Reset, &[158], "fatal timeout"),
    (Class::Reset, &[159], "CHI error on the link to the processor"),
    (Class::Reset, &[167], "fatal timeout of PCIe"),
    (Class::Reset, &[171], "uncorrectable error of its memory"),
    (Class::Reset, &[172], "uncorrectable error of its on-chip memory"),
    (Class::Support, &[54], "auxiliary power is not connected"),
    (Class::Support, &[57, 58], "video memory interface error"),
    (Class::Support, &[79], "GPU has fallen off the bus"),
    (Class::Support, &[122, 123, 124], "its flash memory could not be used"),
    (Class::Support, &[125], "InfoROM file system error"),
];

const COPY_ENGINES: [u64; 20] =
    [39, 40, 41, 70, 71, 72, 75, 76, 77, 85, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135];

impl Xid {
    fn known(self) -> Option<(Class, &'static str)> {
        let row = KNOWN.iter().find(|(_, numbers, _)| numbers.contains(&self.0));
        row.map(|(class, _, meaning)| (*class, *meaning))
    }

    /// Of a number that is not listed nobody knows whose fault it is: neither is the program accused, nor is the GPU out
    /// of use before several Runs have met it.
    #[must_use]
    pub fn class(self) -> Class {
        self.known().map_or(Class::Contained, |(class, _)| class)
    }

    /// In words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.known().map_or("not known to clearmld; see NVIDIA's Xid catalog", |(_, meaning)| meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the catalog says is to be done at once, of every number that it does not call unused.
    const IGNORE: &[u64] = &[14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 121, 137, 141, 152, 153, 157, 160, 161];
    const RESTART_APP: &[u64] = &[
        8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94, 96,
        97, 98, 99, 100, 101, 102, 103, 104, 105, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139,
    ];
    /// Of these, what it says to look into then: the program.
    const CHECK_APP: &[u64] = &[11, 13, 25, 31, 69, 80];
    const RESET_GPU: &[u64] = &[46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158];
    const WORKFLOWS_THAT_RESET: &[u64] = &[48, 74, 159];

    fn all(numbers: &[u64], class: Class) {
        for number in numbers {
            assert_eq!(Xid(*number).class(), class, "Xid {number}");
        }
    }

    #[test]
    fn each_number_is_listed_once() {
        let mut numbers: Vec<u64> = KNOWN.iter().flat_map(|(_, numbers, _)| numbers.iter().copied()).collect();
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    #[test]
    fn what_nvidia_ignores_is_held_against_nobody_but_the_program_that_ends_of_it() {
        let (ends, rest): (Vec<u64>, Vec<u64>) = IGNORE.iter().partition(|number| [43, 137].contains(*number));
        all(&rest, Class::Harmless);
        all(&ends, Class::Application);
        assert_eq!(Xid(45).class(), Class::Harmless, "it comes with every kill");
        assert_eq!(Xid(154).class(), Class::Harmless, "it says what another asks for");
    }

    #[test]
    fn where_nvidia_restarts_the_program_the_gpu_goes_on_and_only_what_to_look_into_is_the_program() {
        let rest: Vec<u64> = RESTART_APP.iter().copied().filter(|number| !CHECK_APP.contains(number)).collect();
        all(CHECK_APP, Class::Application);
        all(&rest, Class::Contained);
    }

    #[test]
    fn what_nvidia_resets_is_out_of_use_until_it_is_reset() {
        all(RESET_GPU, Class::Reset);
        all(WORKFLOWS_THAT_RESET, Class::Reset);
        all(&[151], Class::Reset);
    }

    #[test]
    fn a_card_that_is_off_the_bus_or_without_power_is_a_persons_business() {
        all(&[54, 79, 122, 123, 124, 125], Class::Support);
    }

    #[test]
    fn a_contained_memory_error_is_not_an_uncontained_one() {
        all(&[94], Class::Contained);
        all(&[48, 95, 140, 171, 172], Class::Reset);
    }

    #[test]
    fn of_nvlink_errors_since_blackwell_the_number_decides_where_nearly_all_of_its_rows_agree() {
        all(&[147, 148], Class::Harmless);
        all(&[144, 145, 146], Class::Contained);
        all(&[149, 150], Class::Reset);
    }

    #[test]
    fn of_an_unknown_number_neither_program_nor_gpu_is_accused_by_itself() {
        all(&[9999, 1, 56, 166], Class::Contained);
        assert!(Xid(9999).meaning().contains("Xid catalog"));
    }
}
