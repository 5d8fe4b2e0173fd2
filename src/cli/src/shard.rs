//! `--shard K/N`: one of N parts of the files, for as many machines.

use std::str::FromStr;

use dx_py_core::Digest;

/// Which part, from 1, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    count: u64,
}

impl Shard {
    /// Whether a file with this node ID is in the part. It depends on nothing but the ID, so that machines with other records agree;
    /// the tests of a file stay together.
    pub fn includes(self, file: &str) -> bool {
        let digest = Digest::of(file.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.0[..8]);
        u64::from_le_bytes(first) % self.count == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "K/N is expected, such as 1/4 for the first of four parts";
        let (number, count) = text.split_once('/').ok_or(EXPECTED)?;
        let number = number.trim().parse().map_err(|_| EXPECTED)?;
        let count = count.trim().parse().map_err(|_| EXPECTED)?;
        if !(1..=count).contains(&number) {
            return Err(EXPECTED);
        }
        Ok(Self { number, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_file_is_in_exactly_one_part(file in "[a-z/]{1,20}\\.py", count in 1u64..9) {
            let parts = (1..=count).filter(|number| {
                let shard: Shard = format!("{number}/{count}").parse().unwrap();
                shard.includes(&file)
            });
            prop_assert_eq!(parts.count(), 1);
        }
    }

    #[test]
    fn parts_that_do_not_exist_are_refused() {
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
