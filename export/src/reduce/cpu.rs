//! Which integers a processor multiplies exactly.

use crate::precision::{Activations, Int8Settings, REDUCED};
use std::fmt;
use std::str::FromStr;

/// The processor that a model of integers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cpu {
    /// One that adds four products of bytes into 32 bits: x86 with AVX-VNNI or AVX512-VNNI, ARM. All 8 bits of a weight are used.
    Vnni,
    /// x86 before that: two products are added into 16 bits and cut off there (`vpmaddubsw`). With weights from −64 to 64 nothing is cut
    /// off.
    Avx2,
}

impl Cpu {
    /// This machine.
    #[must_use]
    pub fn here() -> Cpu {
        #[cfg(target_arch = "x86_64")]
        {
            let vnni = std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni");
            if vnni { Cpu::Vnni } else { Cpu::Avx2 }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Cpu::Vnni
    }

    /// What integers a model for it has.
    #[must_use]
    pub fn settings(self, activations: Activations) -> Int8Settings {
        let most_weight = match self {
            Cpu::Vnni => i8::MAX,
            Cpu::Avx2 => REDUCED,
        };
        Int8Settings { activations, most_weight }
    }
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Cpu::here()),
            "vnni" => Ok(Cpu::Vnni),
            "avx2" => Ok(Cpu::Avx2),
            _ => Err(format!("expected auto, vnni or avx2, found `{text}`")),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cpu::Vnni => "vnni",
            Cpu::Avx2 => "avx2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_of_two_products_is_cut_off_without_vnni() {
        let most = i32::from(Cpu::Avx2.settings(Activations::U8).most_weight);
        let (least_sum, most_sum) = (-2 * 255 * most, 2 * 255 * most);
        assert!(least_sum >= i32::from(i16::MIN) && most_sum <= i32::from(i16::MAX));
        assert!(2 * 255 * i32::from(Cpu::Vnni.settings(Activations::U8).most_weight) > i32::from(i16::MAX));
    }
}
