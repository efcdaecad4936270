"""What runs on Argo: the workflow, the nightly, the form, their rights; and the manifests made of them."""
