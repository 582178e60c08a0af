//! A process's place in a group, by the environment variables that torchrun sets.

use crate::error::RanksError;

/// Where a process stands in its group, and where the group meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host of rank 0 (`MASTER_ADDR`).
    pub host: String,
    /// Port of the store there (`MASTER_PORT`).
    pub port: u16,
    /// Number of this process, from 0 (`RANK`).
    pub rank: usize,
    /// Processes in all (`WORLD_SIZE`).
    pub size: usize,
    /// Number of this process among those of its machine, which is the number of its GPU (`LOCAL_RANK`; `RANK` without it).
    pub local_rank: usize,
    /// Whether the launcher runs the store, as torchrun does (`TORCHELASTIC_USE_AGENT_STORE`), and not rank 0.
    pub store_is_launchers: bool,
    /// Which start of the group this is (`TORCHELASTIC_RESTART_COUNT`): a launcher's store remembers earlier ones.
    pub attempt: u64,
    /// Network interface to reach the others by (`GLOO_SOCKET_IFNAME`); without it the one that the way to rank 0 leads through.
    pub interface: Option<String>,
}

impl Address {
    /// The place that the environment names; none where `WORLD_SIZE` is absent or 1.
    ///
    /// # Errors
    /// [`RanksError::Address`] with the first variable that is absent or impossible.
    pub fn from_environment() -> Result<Option<Self>, RanksError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, RanksError> {
        let number = |name: &'static str, expected: &str, least: u64, most: u64| {
            let found = variable(name);
            let number = found.as_deref().and_then(|text| text.trim().parse().ok());
            number.filter(|n| (least..=most).contains(n)).ok_or_else(|| RanksError::Address {
                variable: name,
                expected: expected.to_owned(),
                found: found.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`")),
            })
        };
        if variable("WORLD_SIZE").is_none() {
            return Ok(None);
        }
        let size = number("WORLD_SIZE", "a number of processes from 1 to 4096", 1, 4096)?;
        if size == 1 {
            return Ok(None);
        }
        let of_rank = format!("a number from 0 to {}, as WORLD_SIZE is {size}", size - 1);
        let rank = number("RANK", &of_rank, 0, size - 1)?;
        let local_rank = match variable("LOCAL_RANK") {
            Some(_) => number("LOCAL_RANK", &of_rank, 0, size - 1)?,
            None => rank,
        };
        let host = variable("MASTER_ADDR").filter(|host| !host.is_empty()).ok_or_else(|| RanksError::Address {
            variable: "MASTER_ADDR",
            expected: "the host of rank 0".to_owned(),
            found: "nothing".to_owned(),
        })?;
        Ok(Some(Address {
            host,
            port: number("MASTER_PORT", "a port from 1 to 65535", 1, 65535)? as u16,
            rank: rank as usize,
            size: size as usize,
            local_rank: local_rank as usize,
            store_is_launchers: variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|text| text == "True"),
            attempt: variable("TORCHELASTIC_RESTART_COUNT").and_then(|text| text.parse().ok()).unwrap_or(0),
            interface: variable("GLOO_SOCKET_IFNAME").filter(|name| !name.is_empty()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Address>, RanksError> {
        Address::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_usual_variables_are_read() {
        let usual = [("WORLD_SIZE", "4"), ("RANK", "3"), ("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];
        let found = of(&usual).unwrap().unwrap();
        assert_eq!((found.rank, found.size, found.local_rank), (3, 4, 3));
        assert_eq!((found.host.as_str(), found.port, found.store_is_launchers), ("node1", 29500, false));
        let torchrun = [
            ("LOCAL_RANK", "1"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("GLOO_SOCKET_IFNAME", "eth0"),
        ];
        let found = of(&[&usual[..], &torchrun].concat()).unwrap().unwrap();
        assert_eq!((found.local_rank, found.store_is_launchers, found.attempt), (1, true, 2));
        assert_eq!(found.interface.as_deref(), Some("eth0"));
    }

    #[test]
    fn a_process_alone_has_no_place() {
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[("WORLD_SIZE", "1")]).unwrap(), None);
        assert_eq!(of(&[("RANK", "7")]).unwrap(), None);
    }

    #[test]
    fn what_is_absent_or_impossible_is_named() {
        let two = ("WORLD_SIZE", "2");
        for (variables, words) in [
            (vec![("WORLD_SIZE", "many")], "WORLD_SIZE: expected a number of processes from 1 to 4096, found `many`"),
            (vec![("WORLD_SIZE", "0")], "found `0`"),
            (vec![two], "RANK: expected a number from 0 to 1, as WORLD_SIZE is 2, found nothing"),
            (vec![two, ("RANK", "2")], "RANK"),
            (vec![two, ("RANK", "1")], "MASTER_ADDR"),
            (vec![two, ("RANK", "1"), ("MASTER_ADDR", "a")], "MASTER_PORT"),
            (vec![two, ("RANK", "1"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "70000")], "found `70000`"),
            (vec![two, ("RANK", "1"), ("LOCAL_RANK", "9")], "LOCAL_RANK"),
        ] {
            let error = of(&variables).unwrap_err();
            assert!(error.to_string().contains(words) && error.is_wrong_call(), "{error}");
        }
    }
}
