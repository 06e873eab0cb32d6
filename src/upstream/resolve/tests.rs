//! Names on paused time, with a resolver that says what a test tells it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

/// The time to connect in every test.
const CONNECT: Duration = Duration::from_secs(4);

/// What the resolver does about a question.
#[derive(Clone, Copy)]
enum Says {
    /// This is the device's address: the last byte of it.
    Is(u8),
    /// The same, but after so long.
    Late(u8, Duration),
    /// There is no such name.
    Unknown,
    /// Nothing, ever.
    Silence,
}

/// A place whose name is looked up with a resolver that a test holds in its hand.
struct Bench {
    place: Place,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
}

impl Bench {
    fn new(says: Says) -> Self {
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::<AtomicUsize>::default());
        let (hears, counts) = (Arc::clone(&says), Arc::clone(&asked));
        let look_up = move || -> Pin<Box<dyn Future<Output = Found> + Send>> {
            counts.fetch_add(1, Ordering::Relaxed);
            let says = *hears.lock();
            Box::pin(async move {
                match says {
                    Says::Is(last) => Ok(vec![address(last)]),
                    Says::Late(last, after) => {
                        sleep(after).await;
                        Ok(vec![address(last)])
                    }
                    Says::Unknown => Err(Trouble::NameNotFound("no such name".to_owned())),
                    Says::Silence => std::future::pending().await,
                }
            })
        };
        Self { place: Place::with("meter.lan", 443, Box::new(look_up)), says, asked }
    }

    fn now_says(&self, says: Says) {
        *self.says.lock() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// What is found, and how long that takes.
    async fn finds(&self) -> (Found, Duration) {
        let begun = Instant::now();
        (self.place.addresses(CONNECT).await, begun.elapsed())
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, last], 443))
}

#[tokio::test(start_paused = true)]
async fn the_last_known_address_is_tried_in_time_while_the_resolver_is_silent() {
    let bench = Bench::new(Says::Is(7));
    assert_eq!(bench.finds().await, (Ok(vec![address(7)]), Duration::ZERO));
    bench.now_says(Says::Silence);
    advance(FRESH).await;
    for _ in 0..3 {
        let (found, took) = bench.finds().await;
        assert_eq!(found, Ok(vec![address(7)]));
        assert!(took <= CONNECT / 4 + Duration::from_millis(1), "{took:?}: no time is left to connect");
    }
    assert_eq!(bench.asked(), 2, "one question is enough as long as nobody answers it");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_never_known_has_most_of_the_time_and_then_a_trouble_of_its_own() {
    let bench = Bench::new(Says::Silence);
    let (found, took) = bench.finds().await;
    assert!(matches!(&found, Err(Trouble::NameTimeout(text)) if text.contains("meter.lan")), "{found:?}");
    assert!(took < CONNECT && took > CONNECT / 2, "{took:?}");
    let bench = Bench::new(Says::Late(7, CONNECT / 2));
    assert_eq!(bench.finds().await.0, Ok(vec![address(7)]));
}

#[tokio::test(start_paused = true)]
async fn the_last_known_address_is_tried_at_once_while_the_resolver_fails() {
    let bench = Bench::new(Says::Unknown);
    assert!(matches!(bench.finds().await.0, Err(Trouble::NameNotFound(_))));
    bench.now_says(Says::Is(7));
    bench.finds().await.0.unwrap();
    bench.now_says(Says::Unknown);
    advance(FRESH).await;
    assert_eq!(bench.finds().await, (Ok(vec![address(7)]), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_regularly_and_where_its_address_is_in_doubt() {
    let bench = Bench::new(Says::Is(7));
    bench.finds().await.0.unwrap();
    bench.now_says(Says::Is(8));
    advance(FRESH - Duration::from_secs(1)).await;
    assert_eq!(bench.finds().await.0, Ok(vec![address(7)]));
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.finds().await.0, Ok(vec![address(8)]));
    bench.now_says(Says::Is(9));
    assert_eq!(bench.finds().await.0, Ok(vec![address(8)]));
    bench.place.doubt();
    assert_eq!(bench.finds().await.0, Ok(vec![address(9)]));
    assert_eq!(bench.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_serves_the_next() {
    let bench = Bench::new(Says::Is(7));
    bench.finds().await.0.unwrap();
    bench.now_says(Says::Late(8, CONNECT));
    advance(FRESH).await;
    assert_eq!(bench.finds().await.0, Ok(vec![address(7)]));
    sleep(CONNECT).await;
    assert_eq!(bench.finds().await, (Ok(vec![address(8)]), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_address_needs_no_resolver() {
    for (host, expected) in [("192.168.1.7", address(7)), ("::1", "[::1]:443".parse().unwrap())] {
        let place = Place::with(host, 443, Box::new(|| panic!("an address was looked up")));
        assert_eq!(place.addresses(CONNECT).await, Ok(vec![expected]));
    }
}

#[test]
fn a_link_local_address_of_ipv6_is_of_no_use() {
    for (ip, is_of_use) in [
        ("192.168.1.7", true),
        ("169.254.1.7", true),
        ("fd00::7", true),
        ("2001:db8::7", true),
        ("fe80::7", false),
        ("febf::7", false),
    ] {
        assert_eq!(is_usable(&ip.parse().unwrap()), is_of_use, "{ip}");
    }
}
