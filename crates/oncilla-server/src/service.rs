//! The one door between the machinery that serves and the handlers that answer.

use std::future::Future;
use std::sync::Arc;

use crate::{RequestBody, RequestContext, ResponseBody};

/// Answers requests. The S3 handlers are one; tests use small ones of their own.
///
/// A service sets the headers that its operation defines. `Date`, `Server`, `x-amz-request-id` and
/// `x-amz-id-2` are added to every answer afterwards, and framing (`Content-Length` from the
/// body's known length, or chunked) follows from the [`ResponseBody`].
pub trait Service: Send + Sync + 'static {
    /// Answers one request. It is dropped when the client goes away, at any await point.
    ///
    /// `Host` is what the request is for, also if that stood in its target. It is there once at most.
    ///
    /// The body is read only as far as the handler polls it: `100 Continue` is sent at the first
    /// poll, so a request can be refused before its body travels.
    fn handle(
        &self,
        request: http::Request<RequestBody>,
        context: RequestContext,
    ) -> impl Future<Output = http::Response<ResponseBody>> + Send;

    /// Adds to an answer that was given in the service's place, because too many requests are in
    /// flight, what every answer of its own has.
    fn complete_refusal(
        &self,
        _request: &http::request::Parts,
        _answer: &mut http::Response<ResponseBody>,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<S: Service> Service for Arc<S> {
    fn handle(
        &self,
        request: http::Request<RequestBody>,
        context: RequestContext,
    ) -> impl Future<Output = http::Response<ResponseBody>> + Send {
        S::handle(self, request, context)
    }
    fn complete_refusal(
        &self,
        request: &http::request::Parts,
        answer: &mut http::Response<ResponseBody>,
    ) -> impl Future<Output = ()> + Send {
        S::complete_refusal(self, request, answer)
    }
}
