//! What a route offers, in a few lines for people.

use crate::proxy::route::Route;
use crate::source::Mode;

/// The worker, what it offers by itself and what the sidecar adds.
pub async fn route(route: &Route) -> String {
    let worker = &route.upstream.worker;
    let head = format!(
        "route {} at {}: worker {}",
        route.name,
        route.prefix,
        worker.base()
    );
    let known = match worker.known().await {
        Ok(known) => known,
        Err(error) => {
            return format!(
                "{head}\n  not up yet ({error}); it is asked again with the first request"
            );
        }
    };
    let can = worker.abilities(&known);
    let name = known
        .card
        .as_ref()
        .and_then(|card| card.raw.get("name")?.as_str())
        .unwrap_or("without a card");
    let mut own = vec![Mode::Blocking, Mode::Poll];
    if can.stream {
        own.push(Mode::Stream);
    }
    if can.push {
        own.push(Mode::Push);
    }
    if can.callback {
        own.push(Mode::Callback);
    }
    let added: Vec<_> = route
        .offer
        .iter()
        .filter(|mode| !own.contains(mode))
        .map(|mode| mode.name())
        .collect();
    let own: Vec<_> = own.into_iter().map(Mode::name).collect();
    let serve: Vec<_> = route.serve.iter().map(|dialect| dialect.name()).collect();
    format!(
        "{head}\n  \"{name}\" speaks {}; its card says {}\n  the sidecar adds {}; requesters may speak {}",
        known.dialect,
        own.join(", "),
        if added.is_empty() {
            "nothing but keep-alives, resuming and retries".to_owned()
        } else {
            added.join(", ")
        },
        serve.join(", ")
    )
}
