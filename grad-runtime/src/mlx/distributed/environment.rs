//! The variables that tell a process its rank and where the others are.

use std::fs;
use std::io;
use std::net::ToSocketAddrs;

use super::Backend;

/// Names the address of the control connection: `ip:port` of rank 0.
pub const ADDRESS: &str = "GRAD_DISTRIBUTED_ADDRESS";

/// Why the variables do not describe a group.
#[derive(Debug)]
pub struct Invalid {
    pub reason: String,
    pub source: Option<io::Error>,
}

impl From<String> for Invalid {
    fn from(reason: String) -> Self {
        Self { reason, source: None }
    }
}

/// The place of this process among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    pub backend: Backend,
    pub rank: usize,
    pub size: usize,
    /// Where rank 0 accepts control connections.
    pub control: String,
    /// The addresses that MLX listens at in this process, before it connects to the next.
    pub listens_at: Vec<String>,
    /// The ports of this process and of its neighbours in a ring.
    pub ports: Vec<i32>,
}

/// Looks up a variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the place of this process by the variables of a backend: `None` if none of them is set.
pub fn placement(
    backend: Backend,
    has_nccl: bool,
    address: Option<&str>,
    get: Variables<'_>,
) -> Result<Option<Placement>, Invalid> {
    let mut found = match backend {
        Backend::Ring => ring(get)?,
        Backend::Nccl => nccl(get)?,
        Backend::Mpi => mpi(get)?,
        Backend::Any => {
            let first = if has_nccl && get("NCCL_HOST_IP").is_some() { nccl(get)? } else { ring(get)? };
            first.map_or_else(|| mpi(get), |placement| Ok(Some(placement)))?
        }
    };
    if let Some(placement) = &mut found
        && placement.size > 1
    {
        if let Some(address) = address.map(str::to_owned).or_else(|| get(ADDRESS)) {
            placement.control = address;
        }
        if placement.control.is_empty() {
            return Err(format!(
                "{ADDRESS} is not set: with MPI it names `ip:port` of rank 0, by which the processes watch each other"
            )
            .into());
        }
        check_address(ADDRESS, &placement.control)?;
    }
    Ok(found)
}

fn ring(get: Variables<'_>) -> Result<Option<Placement>, Invalid> {
    let (rank, file) = match (get("MLX_RANK"), get("MLX_HOSTFILE")) {
        (Some(rank), Some(file)) => (rank, file),
        (None, Some(_)) => {
            return Err("MLX_HOSTFILE is set and MLX_RANK is not; set it to the rank of this process"
                .to_owned()
                .into());
        }
        (Some(_), None) if get("NCCL_HOST_IP").is_none() && get("MLX_WORLD_SIZE").is_none() => {
            return Err("MLX_RANK is set and MLX_HOSTFILE is not; set it to a JSON file such as \
                        [[\"10.0.0.1:5000\"], [\"10.0.0.2:5000\"]]"
                .to_owned()
                .into());
        }
        _ => return Ok(None),
    };
    let text = fs::read_to_string(&file).map_err(|source| Invalid {
        reason: format!("MLX_HOSTFILE names {file}, which cannot be read"),
        source: Some(source),
    })?;
    let hosts: Vec<Vec<String>> = serde_json::from_str(&text).map_err(|error| {
        format!(
            "{file}, which MLX_HOSTFILE names, is not a list of lists of addresses ({error}); write one list for each \
             process, such as [[\"10.0.0.1:5000\"], [\"10.0.0.2:5000\"]]"
        )
    })?;
    let rank = number("MLX_RANK", &rank, hosts.len(), &format!("the number of processes in {file}"))?;
    let connections = hosts[0].len();
    for (rank, addresses) in hosts.iter().enumerate() {
        if addresses.len() != connections || addresses.is_empty() {
            return Err(format!(
                "{file} has {} addresses for rank {rank} and {connections} for rank 0; give each process the same number, at \
                 least one",
                addresses.len()
            )
            .into());
        }
        addresses.iter().try_for_each(|address| check_address(&file, address))?;
    }
    let all: Vec<&String> = hosts.iter().flatten().collect();
    if let Some(at) = (1..all.len()).find(|&at| all[..at].contains(&all[at])) {
        return Err(format!("{file} has {} twice; give each connection an address of its own", all[at]).into());
    }
    let next = &hosts[(rank + 1) % hosts.len()];
    let ports = hosts[rank].iter().chain(next).filter_map(|address| port(address));
    Ok(Some(Placement {
        backend: Backend::Ring,
        rank,
        size: hosts.len(),
        control: hosts[0][0].clone(),
        listens_at: hosts[rank].clone(),
        ports: ports.map(i32::from).collect(),
    }))
}

fn nccl(get: Variables<'_>) -> Result<Option<Placement>, Invalid> {
    const NAMES: [&str; 4] = ["NCCL_HOST_IP", "NCCL_PORT", "MLX_RANK", "MLX_WORLD_SIZE"];
    let values = NAMES.map(get);
    if values[0].is_none() && values[1].is_none() && values[3].is_none() {
        return Ok(None);
    }
    if let Some(at) = values.iter().position(Option::is_none) {
        return Err(format!("{} is not set; NCCL needs {}", NAMES[at], NAMES.join(", ")).into());
    }
    let [host, port, rank, size] = values.map(Option::unwrap_or_default);
    let size = number("MLX_WORLD_SIZE", &size, usize::MAX, "what MLX counts to")?;
    let rank = number("MLX_RANK", &rank, size, "MLX_WORLD_SIZE")?;
    let control = format!("{host}:{port}");
    check_address("NCCL_HOST_IP:NCCL_PORT", &control)?;
    let listens_at = if rank == 0 { vec![control.clone()] } else { Vec::new() };
    Ok(Some(Placement { backend: Backend::Nccl, rank, size, control, listens_at, ports: Vec::new() }))
}

/// Of the launchers of Open MPI, and of MPICH and its relatives.
fn mpi(get: Variables<'_>) -> Result<Option<Placement>, Invalid> {
    for [rank_name, size_name] in [["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"], ["PMI_RANK", "PMI_SIZE"]] {
        if let (Some(rank), Some(size)) = (get(rank_name), get(size_name)) {
            let size = number(size_name, &size, usize::MAX, "what MLX counts to")?;
            let rank = number(rank_name, &rank, size, size_name)?;
            return Ok(Some(Placement {
                backend: Backend::Mpi,
                rank,
                size,
                control: String::new(),
                listens_at: Vec::new(),
                ports: Vec::new(),
            }));
        }
    }
    Ok(None)
}

fn number(name: &str, text: &str, limit: usize, of_limit: &str) -> Result<usize, Invalid> {
    let limit = limit.min(i32::MAX as usize);
    text.trim().parse().ok().filter(|&number| number < limit).ok_or_else(|| {
        format!("{name} is `{text}`; it must be a whole number less than {limit}, {of_limit}").into()
    })
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok().filter(|&port| port > 0)
}

/// Checks that an address has a port, and a host with an address of IPv4, the only one that MLX connects to.
fn check_address(origin: &str, address: &str) -> Result<(), Invalid> {
    let invalid = |source| Invalid {
        reason: format!("`{address}` in {origin} is not an address such as 10.0.0.1:5000, of IPv4"),
        source,
    };
    if port(address).is_none() {
        return Err(invalid(None));
    }
    let mut found = address.to_socket_addrs().map_err(|source| invalid(Some(source)))?;
    if found.any(|found| found.is_ipv4()) { Ok(()) } else { Err(invalid(None)) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write as _;

    use super::*;

    fn look_up(backend: Backend, variables: &[(&str, &str)]) -> Result<Option<Placement>, String> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let get = |name: &str| variables.get(name).map(|&value| value.to_owned());
        placement(backend, true, None, &get).map_err(|invalid| invalid.reason)
    }

    fn host_file(text: &str) -> (tempfile::NamedTempFile, String) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().display().to_string();
        (file, path)
    }

    #[test]
    fn variables_of_a_ring_give_the_place() {
        let (_file, path) = host_file(r#"[["127.0.0.1:5000"], ["127.0.0.1:5001"], ["127.0.0.1:5002"]]"#);
        let found = look_up(Backend::Any, &[("MLX_RANK", "2"), ("MLX_HOSTFILE", &path)]).unwrap().unwrap();
        let expected = Placement {
            backend: Backend::Ring,
            rank: 2,
            size: 3,
            control: "127.0.0.1:5000".into(),
            listens_at: vec!["127.0.0.1:5002".into()],
            ports: vec![5002, 5000],
        };
        assert_eq!(found, expected);
        let named = [("MLX_RANK", "2"), ("MLX_HOSTFILE", &path), (ADDRESS, "127.0.0.1:9")];
        assert_eq!(look_up(Backend::Ring, &named).unwrap().unwrap().control, "127.0.0.1:9");
        assert_eq!(look_up(Backend::Any, &[]), Ok(None));
    }

    #[test]
    fn wrong_variables_of_a_ring_are_named() {
        let (_file, good) = host_file(r#"[["127.0.0.1:5000"], ["127.0.0.1:5001"]]"#);
        let (_file, no_list) = host_file("{}");
        let (_file, uneven) = host_file(r#"[["127.0.0.1:5000"], []]"#);
        let (_file, twice) = host_file(r#"[["127.0.0.1:5000"], ["127.0.0.1:5000"]]"#);
        let (_file, no_port) = host_file(r#"[["127.0.0.1:5000"], ["127.0.0.1"]]"#);
        for (rank, file, expected) in [
            (Some("2"), Some(&*good), "MLX_RANK is `2`; it must be a whole number less than 2"),
            (Some("-1"), Some(&*good), "MLX_RANK is `-1`"),
            (Some("one"), Some(&*good), "MLX_RANK is `one`"),
            (None, Some(&*good), "MLX_HOSTFILE is set and MLX_RANK is not"),
            (Some("0"), None, "MLX_RANK is set and MLX_HOSTFILE is not"),
            (Some("0"), Some("no/hosts.json"), "MLX_HOSTFILE names no/hosts.json, which cannot be read"),
            (Some("0"), Some(&*no_list), "is not a list of lists of addresses"),
            (Some("0"), Some(&*uneven), "has 0 addresses for rank 1 and 1 for rank 0"),
            (Some("0"), Some(&*twice), "has 127.0.0.1:5000 twice"),
            (Some("0"), Some(&*no_port), "`127.0.0.1` in "),
        ] {
            let variables = [("MLX_RANK", rank), ("MLX_HOSTFILE", file)];
            let set: Vec<_> = variables.iter().filter_map(|&(name, value)| Some((name, value?))).collect();
            let reason = look_up(Backend::Any, &set).unwrap_err();
            assert!(reason.contains(expected), "{reason:?} should contain {expected:?}");
        }
    }

    #[test]
    fn nccl_needs_four_variables() {
        let all = [("NCCL_HOST_IP", "127.0.0.1"), ("NCCL_PORT", "7"), ("MLX_RANK", "1"), ("MLX_WORLD_SIZE", "2")];
        let found = look_up(Backend::Any, &all).unwrap().unwrap();
        assert_eq!((found.backend, found.rank, found.size), (Backend::Nccl, 1, 2));
        for missing in 0..4 {
            let some: Vec<_> = (0..4).filter(|&at| at != missing).map(|at| all[at]).collect();
            let reason = look_up(Backend::Nccl, &some).unwrap_err();
            assert!(reason.starts_with(&format!("{} is not set", all[missing].0)), "{reason}");
        }
        let reason = look_up(Backend::Nccl, &[("NCCL_HOST_IP", "no host"), all[1], all[2], all[3]]).unwrap_err();
        assert!(reason.starts_with("`no host:7` in NCCL_HOST_IP:NCCL_PORT is not an address"), "{reason}");
    }

    #[test]
    fn mpi_needs_an_address_for_the_control_connection() {
        let ranks = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "4")];
        assert!(look_up(Backend::Mpi, &ranks).unwrap_err().starts_with("GRAD_DISTRIBUTED_ADDRESS is not set"));
        let found = look_up(Backend::Mpi, &[ranks[0], ranks[1], (ADDRESS, "127.0.0.1:9")]).unwrap().unwrap();
        assert_eq!((found.rank, found.size, &*found.control), (1, 4, "127.0.0.1:9"));
    }
}
