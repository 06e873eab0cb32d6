//! What the makes' routes are put together with.
//!
//! axum compiles what it does for a handler once for every type of handler, and what a router does once for every type
//! of state. Simulated devices have many routes and are never in a hurry: all their handlers are of one type, and have
//! the state with them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use futures_util::future::BoxFuture;

/// An answer under way.
pub(crate) type Answer = BoxFuture<'static, Response>;

/// Routes that share a state.
pub(crate) struct Face<S: ?Sized> {
    state: Arc<S>,
    routes: Router,
}

impl<S: Send + Sync + ?Sized + 'static> Face<S> {
    /// No routes yet.
    pub(crate) fn of(state: Arc<S>) -> Self {
        Self::over(state, Router::new())
    }

    /// These routes.
    pub(crate) fn over(state: Arc<S>, routes: Router) -> Self {
        Self { state, routes }
    }

    /// A route that answers at once, from what axum's extractors find in the request.
    pub(crate) fn at<E, M>(
        self,
        path: &str,
        methods: fn(Responder) -> MethodRouter,
        answer: fn(&S, E) -> Response,
    ) -> Self
    where
        E: FromRequest<(), M> + Send + 'static,
    {
        self.slow(path, methods, move |state, found| Box::pin(std::future::ready(answer(&state, found))))
    }

    /// A route that takes its time.
    pub(crate) fn slow<E, M>(
        self,
        path: &str,
        methods: fn(Responder) -> MethodRouter,
        answer: impl Fn(Arc<S>, E) -> Answer + Send + Sync + 'static,
    ) -> Self
    where
        E: FromRequest<(), M> + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        let responder = responder(Arc::new(move |found| answer(Arc::clone(&state), found)));
        Self { routes: self.routes.route(path, methods(responder)), ..self }
    }

    /// Puts something before the routes so far, and before what is said of those that there are not.
    pub(crate) fn before(self, pass: fn(Arc<S>, Request, Next) -> Answer) -> Self {
        let state = Arc::clone(&self.state);
        let pass = move |request, next| pass(Arc::clone(&state), request, next);
        Self { routes: layered(self.routes, Arc::new(pass)), ..self }
    }

    /// The routes as axum has them.
    pub(crate) fn router(self) -> Router {
        self.routes
    }
}

/// What answers at a path.
#[derive(Clone)]
pub(crate) struct Responder(Arc<dyn Fn(Request) -> Answer + Send + Sync>);

/// Answers from what is found in a request, or says why it can't be found.
fn responder<E, M>(answer: Arc<dyn Fn(E) -> Answer + Send + Sync>) -> Responder
where
    E: FromRequest<(), M> + Send + 'static,
{
    Responder(Arc::new(move |request| {
        let answer = Arc::clone(&answer);
        Box::pin(async move {
            let found = match E::from_request(request, &()).await {
                Ok(found) => found,
                Err(refusal) => return refusal.into_response(),
            };
            answer(found).await
        })
    }))
}

impl Handler<(), ()> for Responder {
    type Future = Answer;

    fn call(self, request: Request, (): ()) -> Answer {
        (self.0)(request)
    }
}

fn layered(routes: Router, pass: Arc<dyn Fn(Request, Next) -> Answer + Send + Sync>) -> Router {
    routes.layer(from_fn(move |request: Request, next: Next| pass(request, next)))
}
