//! The operations as s3s calls them; each is a line, the work is in `objects`, `uploads` and `lists`.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::shared::Shared;
use crate::{complete, lists, objects, uploads};

/// The operations on a store.
pub(crate) struct Operations(pub Arc<Shared>);

/// One method per operation, each handing its request to a function.
macro_rules! operations {
    ($($method:ident($input:ty) -> $output:ty = $function:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(
                async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    $function(&self.0, request).await
                }
            )*
        }
    };
}

operations! {
    put_object(PutObjectInput) -> PutObjectOutput = objects::put;
    get_object(GetObjectInput) -> GetObjectOutput = objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = objects::head;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = objects::tags;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_many;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = uploads::create;
    upload_part(UploadPartInput) -> UploadPartOutput = uploads::part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = uploads::abort;
    list_parts(ListPartsInput) -> ListPartsOutput = uploads::list_parts;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = lists::objects;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = lists::uploads;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = list_buckets;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = head_bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = get_bucket_location;
}

async fn list_buckets(
    shared: &Shared,
    _request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    lists::buckets(shared).await
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>
async fn head_bucket(shared: &Shared, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
    shared.check_bucket(&request.input.bucket)?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(shared.region.to_string()),
        ..Default::default()
    }))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>
async fn get_bucket_location(
    shared: &Shared,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    shared.check_bucket(&request.input.bucket)?;
    // The first region of all has no name here.
    let name = Some(shared.region.to_string()).filter(|region| region != "us-east-1");
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: name.map(BucketLocationConstraint::from),
    }))
}
