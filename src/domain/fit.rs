//! Which of the free GPUs a Run is lent: such as are near each other, and so that what is left is as whole as it can be.
//!
//! Near are GPUs that NVLink joins, then those of one NUMA node. The smallest neighbourhood that is large enough serves;
//! where none is, the largest go whole, so that as few as possible are broken.

use super::inventory::{Gpu, Inventory};
use super::lease::Unit;

/// Beyond so many GPUs in a neighbourhood the first ones are as good as the best ones: no host has them.
const MOST_WEIGHED: usize = 16;

/// A free unit: its place among those offered, and its GPU.
#[derive(Debug, Clone, Copy)]
struct Offer<'a> {
    at: usize,
    gpu: &'a Gpu,
}

/// Takes `count` of `free`, or all if they are fewer, in the order of `free`. The same question has the same answer.
#[must_use]
pub fn pick(inventory: &Inventory, free: &[Unit], count: usize) -> Vec<Unit> {
    let gpu = |unit: &Unit| inventory.gpus.iter().find(|gpu| gpu.uuid == unit.gpu);
    let offers = free.iter().enumerate().filter_map(|(at, unit)| Some(Offer { at, gpu: gpu(unit)? })).collect();
    let mut taken: Vec<usize> = Fit { inventory }.take(offers, count).iter().map(|offer| offer.at).collect();
    taken.sort_unstable();
    taken.into_iter().map(|at| free[at].clone()).collect()
}

/// Knows who is near whom.
#[derive(Clone, Copy)]
struct Fit<'a> {
    inventory: &'a Inventory,
}

impl<'a> Fit<'a> {
    fn take(self, free: Vec<Offer<'a>>, count: usize) -> Vec<Offer<'a>> {
        if count == 0 || free.len() <= count {
            return if count == 0 { Vec::new() } else { free };
        }
        let sides = apart(&free, |one, other| self.linked(one, other) || same_node(one, other));
        let side_of = |part: &[Offer<'_>]| {
            let within = |side: &&Vec<Offer<'_>>| side.iter().any(|offer| offer.at == part[0].at);
            sides.iter().find(within).map_or(0, Vec::len)
        };
        let joined = apart(&free, |one, other| self.linked(one, other));
        let large_enough = |part: &&Vec<Offer<'_>>| part.len() >= count;
        let smallest = joined.iter().filter(large_enough).min_by_key(|part| (part.len(), side_of(part), part[0].at));
        if let Some(part) = smallest {
            return self.within(part, count);
        }
        let (all, parts) = match sides.iter().filter(large_enough).min_by_key(|side| (side.len(), side[0].at)) {
            Some(side) => (side.clone(), apart(side, |one, other| self.linked(one, other))),
            None => (free, sides),
        };
        let Some(largest) = parts.into_iter().min_by_key(|part| (usize::MAX - part.len(), part[0].at)) else {
            return Vec::new();
        };
        let rest = all.into_iter().filter(|offer| largest.iter().all(|taken| taken.at != offer.at)).collect();
        let missing = count - largest.len();
        largest.into_iter().chain(self.take(rest, missing)).collect()
    }

    /// Some of a neighbourhood that is joined: of one NUMA node if that will do, those with the most links between them.
    fn within(self, part: &[Offer<'a>], count: usize) -> Vec<Offer<'a>> {
        let nodes = apart(part, same_node);
        let node = nodes.iter().filter(|node| node.len() >= count).min_by_key(|node| (node.len(), node[0].at));
        let part = node.map_or(part, Vec::as_slice);
        if part.len() > MOST_WEIGHED {
            return part[..count].to_vec();
        }
        let weight = |chosen: &[Offer<'a>]| -> usize {
            let pairs =
                chosen.iter().enumerate().flat_map(|(at, one)| chosen[at + 1..].iter().map(move |other| (one, other)));
            pairs.map(|(one, other)| self.links(one.gpu, other.gpu)).sum()
        };
        let mut best: Option<(usize, Vec<Offer<'a>>)> = None;
        for chosen in choices(part, count) {
            let weight = weight(&chosen);
            if best.as_ref().is_none_or(|(most, _)| weight > *most) {
                best = Some((weight, chosen));
            }
        }
        best.map_or_else(Vec::new, |(_, chosen)| chosen)
    }

    /// Slices of one GPU are as near as can be.
    fn linked(self, one: &Offer<'_>, other: &Offer<'_>) -> bool {
        one.gpu.uuid == other.gpu.uuid || self.links(one.gpu, other.gpu) > 0
    }

    /// NVLinks between two GPUs: straight ones, or by way of switches that both are tied to.
    fn links(self, one: &Gpu, other: &Gpu) -> usize {
        let straight = one.links.iter().filter(|end| **end == other.pci).count();
        let is_gpu = |end: &String| self.inventory.gpus.iter().any(|gpu| gpu.pci == *end);
        let switched = one.links.iter().filter(|end| !is_gpu(end) && other.links.contains(end)).count();
        straight + switched
    }
}

fn same_node(one: &Offer<'_>, other: &Offer<'_>) -> bool {
    one.gpu.uuid == other.gpu.uuid || (one.gpu.numa_node.is_some() && one.gpu.numa_node == other.gpu.numa_node)
}

/// The neighbourhoods of `offers`: whoever is near one of them belongs to it. Each in order, and by its first.
fn apart<'a>(offers: &[Offer<'a>], near: impl Fn(&Offer<'a>, &Offer<'a>) -> bool) -> Vec<Vec<Offer<'a>>> {
    let mut parts: Vec<Vec<Offer<'a>>> = Vec::new();
    for offer in offers {
        let (touched, mut others): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part.iter().any(|member| near(member, offer)));
        let mut part: Vec<Offer<'a>> = touched.into_iter().flatten().chain([*offer]).collect();
        part.sort_by_key(|offer| offer.at);
        others.push(part);
        parts = others;
    }
    parts.sort_by_key(|part| part[0].at);
    parts
}

/// Every choice of `count`, those of the first ones first.
fn choices<'a>(part: &[Offer<'a>], count: usize) -> Vec<Vec<Offer<'a>>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let from = |first: usize| {
        let rest = choices(&part[first + 1..], count - 1);
        rest.into_iter().map(move |rest| std::iter::once(part[first]).chain(rest).collect::<Vec<_>>())
    };
    (0..(part.len() + 1).saturating_sub(count)).flat_map(from).collect()
}

#[cfg(test)]
mod tests;
